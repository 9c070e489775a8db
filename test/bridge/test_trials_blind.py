# SPDX-License-Identifier: Apache-2.0
"""Who may still vote on a physical trial learns from no route which policy ran on which side."""

from collections.abc import AsyncIterator

import httpx
import pytest

from lerobot_arena.core.verdict import Decision
from lerobot_arena.platform.arena.matchup import OPEN_S, PHYSICAL
from lerobot_arena.testing.bridge_rig import Rig
from lerobot_arena.testing.recordings import write_session
from lerobot_arena.testing.trial_calls import begin, run_both


@pytest.fixture
async def operator(rig: Rig) -> AsyncIterator[httpx.AsyncClient]:
    """An account with every scope a user has."""
    async with rig.caller(await rig.user("olga")) as http:
        yield http


async def test_whoever_has_not_voted_finds_no_name_anywhere(rig: Rig, operator: httpx.AsyncClient) -> None:
    """Neither before anybody voted, nor after somebody else did."""
    begun = await begin(operator)
    await run_both(rig)
    kept = rig.services.published.votes.get(begun["id"])
    sides = {kept.left.recording: kept.left, kept.right.recording: kept.right}
    for recording, side in sides.items():
        told = {
            "arm": "arm",
            "policy": side.policy,
            "policy_hash": "c0ffee",
            "policy_session_id": "trial-1-left",
        }
        write_session(
            rig.services.settings.data_dir / "recordings", [Decision.PASS], session_id=recording, told=told
        )
    body = {"matchupId": begun["id"], "winner": "left"}
    paths = [f"/mcap/sessions/{recording}" for recording in sides]
    walk = [
        "/sessions", "/mcap/sessions", *paths, *(f"{path}/download" for path in paths), "/v1/leaderboard",
        "/v1/leaderboard/wins", "/v1/leaderboard/trials", f"/api/arena/matchup/{begun['id']}",
    ]  # fmt: skip

    async def found(http: httpx.AsyncClient) -> str:
        published = rig.services.published
        await published.desk.ask(published.leaderboard.refresh)
        return " ".join([(await http.get(path)).text for path in walk])

    async with rig.caller(await rig.user("otto")) as other:
        for _ in range(2):
            text = await found(other)
            assert not any(word in text for word in ('"demo"', '"hold"', "c0ffee", "trial-1"))
            assert (await other.get(f"{paths[0]}/download")).status_code == 403
            await operator.post("/api/arena/vote", json=body)
        mine = (await operator.get(paths[0])).json()["metadata"]
        assert mine["policy"] in {"demo", "hold"} and mine["policy_hash"] == "c0ffee"
        assert (await operator.get(f"{paths[0]}/download")).status_code == 200
        assert (await rig.http.get(f"{paths[0]}/download")).status_code == 200, "the person at the machine"
        rig.clock.advance(OPEN_S[PHYSICAL])
        text = await found(other)
        assert '"demo"' in text and begun["id"] in text
        late = await other.post("/api/arena/vote", json=body)
        assert late.status_code == 400 and "closed" in late.json()["error"]
