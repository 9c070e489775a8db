# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent, the answer is one of the documented ones."""

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lerobot_arena.testing.bridge_rig import Rig, open_rig

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


bits = {
    "name": st.sampled_from(["not_forever", "new", "default"]) | names | anything,
    "type": st.sampled_from(["single", "list", "graph"]) | anything,
    "nodes": st.lists(
        st.fixed_dictionaries(
            {"callback": st.sampled_from(["task_timeout", "velocity", "finite", "ood"]) | anything},
            optional={
                "params": st.fixed_dictionaries({"timeout_s": st.floats() | anything}) | anything,
                "next": anything,
            },
        )
        | anything,
        max_size=3,
    )
    | anything,
    "boundaries": st.lists(st.sampled_from(["not_forever", "x"]), max_size=2) | anything,
    "task_name": names | anything,
    "n_cycles": st.integers() | anything,
    "cycle_budget_ms": st.floats() | anything,
    "arm": st.just("arm") | anything,
}
guards_bodies = st.fixed_dictionaries({}, optional=bits) | anything


async def _ask_the_guards_part(rig: Rig, requests: list[Any]) -> None:
    for body in requests:
        text = json.dumps(body)
        name = quote(str(body.get("name", "x")) if isinstance(body, dict) else "x", safe="", errors="replace")
        for method, path in (
            ("POST", "/api/boundaries"),
            ("PUT", f"/api/boundaries/{name}"),
            ("PUT", "/api/boundaries/not_forever"),
            ("DELETE", f"/api/boundaries/{name}"),
            ("POST", "/api/tasks"),
            ("PUT", f"/api/tasks/{name}"),
            ("POST", "/api/control/start"),
            ("POST", "/api/control/stop"),
            ("GET", f"/api/risk-log?outcome={name}&since={name}"),
            ("GET", f"/api/risk-log/{name}"),
        ):
            headers = {"Content-Type": "application/json"} if method != "GET" else {}
            answer = await rig.http.request(method, path, content=text if headers else None, headers=headers)
            assert answer.status_code in {200, 201, 204, 307, 404, 405, 409, 422}, (
                method,
                path,
                text,
                answer.text,
            )
    for path in (
        "/api/boundaries",
        "/api/tasks",
        "/api/control/status",
        "/metrics",
        "/api/risk-log/export/csv",
    ):
        assert (await rig.http.get(path)).status_code == 200


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(st.lists(guards_bodies, min_size=10, max_size=20))
def test_no_boundary_task_or_verb_is_answered_by_an_internal_error(requests: list[Any]) -> None:
    async def run() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with open_rig(Path(folder)) as rig:
                await rig.create()
                await _ask_the_guards_part(rig, requests)

    asyncio.run(run())


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
