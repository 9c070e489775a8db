# SPDX-License-Identifier: Apache-2.0
"""Seed 2's arena: blind matchups of browser runs, public; and ours of an arm, for those who may operate it."""

from fastapi import APIRouter, Request

from lerobot_arena.bridge.arena_answers import (
    ArenaControlEnvelope,
    ArenaControlRequest,
    ArenaDispatchAnswer,
    ArenaMatchupEnvelope,
    ArenaTrialRequest,
    ArenaVoteRequest,
    matchup_answer,
)
from lerobot_arena.bridge.deps import PrincipalDep, ServicesDep
from lerobot_arena.core.principal import SESSIONS_OPERATE, Principal
from lerobot_arena.platform.arena.service import Voter

router = APIRouter(prefix="/api/arena", tags=["Arena"])


def voter_of(caller: Principal, request: Request) -> Voter:
    """A user by name; anybody else by address and browser, of which only a keyed hash is kept."""
    agent = request.headers.get("user-agent", "")[:500]
    operates = caller.is_user and caller.may(SESSIONS_OPERATE)
    return Voter(caller.name if caller.is_user else None, caller.address, agent, operates)


@router.post("/launch", status_code=201, summary="Launch an arena matchup")
async def launch_matchup(request: Request, services: ServicesDep) -> ArenaMatchupEnvelope:
    """Two active policies on the same robot and scene, on random sides, their names hidden."""
    published = services.published
    matchup = await published.desk.ask(published.arena.launch)
    return ArenaMatchupEnvelope(
        matchup=matchup_answer(matchup, may_know=False, base_url=str(request.base_url))
    )


@router.post("/trials", status_code=201, summary="Run two policies on an arm, blind")
async def begin_trial(
    body: ArenaTrialRequest, request: Request, services: ServicesDep
) -> ArenaMatchupEnvelope:
    """The arm moves: one policy after the other, from one scene, recorded. It may be voted on when both have run."""
    pair = (body.policies[0], body.policies[1]) if body.policies else None
    matchup = await services.trials.begin(body.arm, pair, seconds=body.seconds, seed=body.seed)
    return ArenaMatchupEnvelope(
        matchup=matchup_answer(matchup, may_know=False, base_url=str(request.base_url))
    )


@router.get("/matchup/{matchup_id}", summary="Read an arena matchup")
async def read_matchup(
    matchup_id: str, request: Request, services: ServicesDep, caller: PrincipalDep
) -> ArenaMatchupEnvelope:
    """What is known of it: names only to those who have voted on it."""
    published, voter = services.published, voter_of(caller, request)
    matchup, may_know = await published.desk.ask(
        lambda: (published.arena.get(matchup_id), published.arena.may_know(matchup_id, voter))
    )
    answer = matchup_answer(matchup, may_know=may_know, base_url=str(request.base_url))
    return ArenaMatchupEnvelope(matchup=answer)


@router.post("/control", summary="Dispatch a control event")
async def control_matchup(
    body: ArenaControlRequest, request: Request, services: ServicesDep, caller: PrincipalDep
) -> ArenaControlEnvelope:
    """The message that the page has to post into a pane's frame; this server reaches no browser."""
    published, voter = services.published, voter_of(caller, request)
    (matchup, payload), may_know = await published.desk.ask(
        lambda: (
            published.arena.control(body.matchupId, body.side, body.action),
            published.arena.may_know(body.matchupId, voter),
        )
    )
    return ArenaControlEnvelope(
        dispatches=[ArenaDispatchAnswer(side=body.side, payload=payload)],
        matchup=matchup_answer(matchup, may_know=may_know, base_url=str(request.base_url)),
    )


@router.post("/vote", summary="Record an arena vote")
async def vote_on_matchup(
    body: ArenaVoteRequest, request: Request, services: ServicesDep, caller: PrincipalDep
) -> ArenaMatchupEnvelope:
    """One vote of each voter on each matchup, once it may be voted on; the answer names both policies."""
    published, voter = services.published, voter_of(caller, request)
    matchup = await published.desk.ask(lambda: published.arena.vote(body.matchupId, body.winner, voter))
    published.renew_table()
    return ArenaMatchupEnvelope(
        matchup=matchup_answer(matchup, may_know=True, base_url=str(request.base_url))
    )
