# SPDX-License-Identifier: Apache-2.0
"""A download that broke is gone on with: the rest of the same bytes, or a refusal, never a mixture."""

from pathlib import Path

import pytest

from lerobot_arena.core.verdict import Decision
from lerobot_arena.testing.bridge_rig import Rig
from lerobot_arena.testing.recordings import SESSION_ID, write_session

URL = f"/mcap/sessions/{SESSION_ID}/download"


@pytest.fixture
def root(data_dir: Path) -> Path:
    write_session(data_dir / "recordings", [Decision.PASS] * 100, files=2)
    return data_dir / "recordings"


@pytest.mark.parametrize("query", [{}, {"start_cycle": 10, "end_cycle": 60}, {"topics": "/dam/cycle"}])
async def test_beginning_and_rest_are_the_whole(root: Path, rig: Rig, query: dict[str, str]) -> None:
    whole = await rig.http.get(URL, params=query)
    tag = whole.headers["etag"]
    for at in (1, 100, len(whole.content) // 2, len(whole.content) - 1, len(whole.content)):
        rest = await rig.http.get(URL, params={**query, "from_byte": at}, headers={"If-Match": tag})
        assert rest.headers["etag"] == tag
        assert whole.content[:at] + rest.content == whole.content


async def test_the_rest_of_something_else_is_refused(root: Path, rig: Rig) -> None:
    tag = (await rig.http.get(URL)).headers["etag"]
    other = await rig.http.get(URL, params={"start_cycle": 3, "from_byte": 5}, headers={"If-Match": tag})
    assert other.status_code == 409 and "beginning" in other.json()["detail"]
    write_session(root, [Decision.PASS] * 101, files=2)
    changed = await rig.http.get(URL, params={"from_byte": 5}, headers={"If-Match": tag})
    assert changed.status_code == 409
