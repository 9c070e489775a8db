# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, the answer is one of the documented ones."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_arena.testing.bridge_rig import open_rig

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["s", "a b", "é", "..", "x/y", "Z", "7", "joint-input", "front", "%2F", "\u202e"]
) | st.text(max_size=12)
fields = {
    "session_id": names | anything,
    "policy_path": st.sampled_from(["demo", "hold", "org/name@", "/etc", "replay:x", "~"]) | names | anything,
    "camera_names": st.lists(names, max_size=4) | anything,
    "arena_server_url": st.sampled_from(["http://localhost:8000", "http://[", "8000"]) | anything,
    "workspace_id": names | anything,
    "unit": st.sampled_from(["degrees", "normalized"]) | anything,
    "rate_hz": st.floats() | anything,
    "joint_names": st.lists(names, max_size=4) | anything,
    "language_instruction": anything,
    "policy_type": anything,
    "robot": st.sampled_from(["arm", "virtual/x", "/arm", "arm/"]) | st.none(),
}
bodies = st.fixed_dictionaries({}, optional=fields)


@settings(deadline=None, max_examples=12, suppress_health_check=list(HealthCheck))
@given(st.lists(bodies, min_size=20, max_size=40), st.lists(names, min_size=5, max_size=5))
def test_no_request_is_answered_by_an_internal_error(requests: list[dict[str, Any]], ids: list[str]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_rig(Path(folder), HF_ENDPOINT="http://127.0.0.1:9", max_sessions=5) as rig:
                for body in requests:
                    answer = await rig.http.post("/sessions", content=orjson.dumps(body))
                    assert answer.status_code in {200, 400, 409, 422, 503}, answer.text
                    assert answer.status_code == 200 or "detail" in answer.json()
                listed = await rig.http.get("/sessions")
                assert listed.status_code == 200
                for session_id in [*ids, *(session["session_id"] for session in listed.json())]:
                    path = f"/sessions/{quote(session_id, safe='')}"
                    for method, where in (("GET", path), ("POST", f"{path}/stop"), ("DELETE", path)):
                        answer = await rig.http.request(method, where)
                        assert answer.status_code in {200, 307, 404, 405}, (where, answer.text)

    asyncio.run(run())
