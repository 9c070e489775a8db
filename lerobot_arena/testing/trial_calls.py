# SPDX-License-Identifier: Apache-2.0
"""Physical trials over a bridge's rig: begin one, and let its runs end."""

from typing import Any

import httpx

from lerobot_arena.core.session import RUNNING
from lerobot_arena.testing.bridge_rig import Rig, until

BODY = {"policies": ["demo", "hold"], "seconds": 1.0, "seed": 3}
CYCLES = 50
MUCH_LATER = 1e11


async def begin(http: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    answer = await http.post("/api/arena/trials", json={**BODY, **changes})
    assert answer.status_code == 201, answer.text
    matchup: dict[str, Any] = answer.json()["matchup"]
    return matchup


async def matchup_of(http: httpx.AsyncClient, matchup_id: str) -> dict[str, Any]:
    answer = await http.get(f"/api/arena/matchup/{matchup_id}")
    matchup: dict[str, Any] = answer.json()["matchup"]
    return matchup


async def running(rig: Rig, count: int = 1) -> None:
    """Until the arm runs, for the `count`-th time."""
    await until(lambda: rig.fake.guards["arm"].epoch == count and rig.fake.guards["arm"].state == RUNNING)


async def run_out(rig: Rig) -> None:
    """All cycles of the present run."""
    for _ in range(CYCLES):
        rig.fake.beat()


async def at_end(rig: Rig) -> None:
    """Until the trial let go of the arm."""
    await until(lambda: not rig.services.trials._tasks)


async def run_both(rig: Rig) -> None:
    for side in (1, 2):
        await running(rig, side)
        await run_out(rig)
    await at_end(rig)
