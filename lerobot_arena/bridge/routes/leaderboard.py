# SPDX-License-Identifier: Apache-2.0
"""Seed 2's leaderboard, and what it was computed from."""

from fastapi import APIRouter
from fastapi.responses import StreamingResponse

from lerobot_arena.bridge.arena_answers import LeaderboardAnswer, leaderboard_answer
from lerobot_arena.bridge.deps import ServicesDep
from lerobot_arena.bridge.published import Published
from lerobot_arena.bridge.trial_policies import checkpoint_titles
from lerobot_arena.platform.arena.download import Download, lines
from lerobot_arena.platform.catalog.item import POLICY
from lerobot_arena.platform.catalog.shelf import Shelf

router = APIRouter(prefix="/v1/leaderboard", tags=["Leaderboard"])

_MOST_LISTED = 1000


@router.get("", summary="Read the public leaderboard")
async def get_leaderboard(services: ServicesDep) -> LeaderboardAnswer:
    """Bradley–Terry ratings with 95 % intervals, recomputed a moment after each vote."""
    published = services.published
    titles = await published.desk.ask(lambda: _titles(published.shelf))
    return leaderboard_answer(published.leaderboard.table, titles)


@router.get("/wins", summary="Who was preferred to whom, how often")
async def get_wins(services: ServicesDep) -> dict[str, dict[str, float]]:
    """`wins[a][b]`: counted votes that preferred a to b; a tie is half a vote for each."""
    return services.published.leaderboard.table.wins


@router.get("/trials", summary="Every vote, to compute the table again", response_class=StreamingResponse)
async def get_trials(services: ServicesDep) -> StreamingResponse:
    """JSON lines: the policies that are listed, then votes, oldest first; voters and networks are keyed hashes.

    What others still vote on tells no sides: of a browser's matchup a vote has neither its id nor left and right as
    they were, and a trial on an arm comes when it is closed.
    `arena leaderboard compute FILE` prints the table.
    """
    published = services.published
    download = await published.desk.ask(lambda: _download(published))
    headers = {"Content-Disposition": 'attachment; filename="trials.jsonl"'}
    return StreamingResponse(lines(download), media_type="application/x-ndjson", headers=headers)


def _titles(shelf: Shelf) -> dict[str, str]:
    """By the names that votes have."""
    policies = shelf.list(POLICY, limit=_MOST_LISTED)
    return {item.ref: item.title for item in policies} | checkpoint_titles(shelf)


def _download(published: Published) -> Download:
    now = published.clock.wall_ns() / 1e9
    titles, named = _titles(published.shelf), published.votes.told_policies(now)
    named.update(published.listed_policies())
    return Download({policy: titles.get(policy, policy) for policy in named}, published.votes.trials(now))
