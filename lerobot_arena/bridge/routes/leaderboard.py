# SPDX-License-Identifier: Apache-2.0
"""Seed 2's leaderboard, and what it was computed from."""

import json
from collections.abc import Iterator
from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from lerobot_arena.bridge.arena_answers import LeaderboardAnswer, leaderboard_answer
from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.platform.arena.store import Trial
from lerobot_arena.platform.catalog.item import POLICY

router = APIRouter(prefix="/v1/leaderboard", tags=["Leaderboard"])

_MOST_LISTED = 1000


@router.get("", summary="Read the public leaderboard")
async def get_leaderboard(services: ServicesDep) -> LeaderboardAnswer:
    """Bradley–Terry ratings with 95 % intervals, recomputed a moment after each vote."""
    published = services.published
    policies = await published.desk.ask(lambda: published.shelf.list(POLICY, limit=_MOST_LISTED))
    return leaderboard_answer(published.leaderboard.table, {item.ref: item.title for item in policies})


@router.get("/wins", summary="Who was preferred to whom, how often")
async def get_wins(services: ServicesDep) -> dict[str, dict[str, float]]:
    """`wins[a][b]`: counted votes that preferred a to b; a tie is half a vote for each."""
    return services.published.leaderboard.table.wins


@router.get("/trials", summary="Every vote, to compute the table again", response_class=StreamingResponse)
async def get_trials(services: ServicesDep) -> StreamingResponse:
    """JSON lines, oldest first; `arena leaderboard compute FILE` prints the table. Voters are keyed hashes."""
    published = services.published
    trials = await published.desk.ask(published.votes.trials)
    headers = {"Content-Disposition": 'attachment; filename="trials.jsonl"'}
    return StreamingResponse(_lines(trials), media_type="application/x-ndjson", headers=headers)


def _lines(trials: list[Trial]) -> Iterator[bytes]:
    for trial in trials:
        yield json.dumps(asdict(trial)).encode() + b"\n"
