# SPDX-License-Identifier: Apache-2.0
"""Seed 2's bodies of the arena and the leaderboard. Before a voter has voted, names are hidden from them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lerobot_arena.platform.arena.download import iso, shown
from lerobot_arena.platform.arena.leaderboard import Table
from lerobot_arena.platform.arena.matchup import BROWSER, SIDES, Matchup

HIDDEN = "hidden until you have voted"

Sides = Literal["left", "right"]


class ArenaControlRequest(BaseModel):
    """A semantic event for one pane."""

    model_config = ConfigDict(extra="ignore", strict=True)

    matchupId: str = Field(max_length=64)
    side: Sides
    action: Literal[
        "forward-press",
        "forward-release",
        "backward-press",
        "backward-release",
        "left-press",
        "left-release",
        "right-press",
        "right-release",
        "reset",
    ]


class ArenaVoteRequest(BaseModel):
    """Which side was better."""

    model_config = ConfigDict(extra="ignore", strict=True)

    matchupId: str = Field(max_length=64)
    winner: Literal["left", "right", "both_good", "both_bad"]


class ArenaTrialRequest(BaseModel):
    """Two policies on one arm. What is left out is drawn, or the only one."""

    model_config = ConfigDict(extra="forbid", strict=True)

    arm: str | None = Field(None, max_length=256, description="The arm's namespace; absent: the only one.")
    policies: list[Annotated[str, Field(min_length=1, max_length=1000)]] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Policies as sessions name them: `catalog:owner/slug`, a folder, a hub id. Absent: two of the "
        "catalog's checkpoints.",
    )
    seconds: float = Field(
        20.0, ge=1.0, le=300.0, allow_inf_nan=False, description="How long each runs at most."
    )
    seed: int | None = Field(
        None, ge=0, lt=2**32, description="Of what is drawn: pair and sides. Absent: another each time."
    )


class ArenaParticipantAnswer(BaseModel):
    title: str
    policyRef: str
    simulationId: str
    browserUrl: str | None
    recording: str | None = Field(None, description="Of a run on a robot, for those who have voted.")


class ArenaMatchupAnswer(BaseModel):
    id: str
    status: Literal["queued", "starting", "ready", "failed"]
    voteUnlockAt: str | None
    kind: Literal["browser", "physical"] = "browser"
    error: str | None = Field(None, description="Why it failed.")
    left: ArenaParticipantAnswer
    right: ArenaParticipantAnswer


class ArenaMatchupEnvelope(BaseModel):
    matchup: ArenaMatchupAnswer


class ArenaDispatchAnswer(BaseModel):
    side: Sides
    transport: Literal["browser-postmessage"] = "browser-postmessage"
    payload: dict[str, Any]


class ArenaControlEnvelope(BaseModel):
    ok: Literal[True] = True
    dispatches: list[ArenaDispatchAnswer]
    matchup: ArenaMatchupAnswer


class LeaderboardEntryAnswer(BaseModel):
    policy_ref: str
    title: str
    rating: float
    wins: float
    losses: float
    ties: int
    counted_votes: int
    confidence_low: float | None
    confidence_high: float | None


class LeaderboardAnswer(BaseModel):
    updated_at: str | None
    winner: str | None
    entries: list[LeaderboardEntryAnswer]


def matchup_answer(matchup: Matchup, *, may_know: bool, base_url: str) -> ArenaMatchupAnswer:
    """A matchup as its voter may see it. `base_url` is where the voter reaches this server."""
    sides = {}
    for name in SIDES:
        side = matchup.side(name)
        run = f"{base_url.rstrip('/')}/arena/run/{matchup.id}/{side.simulation}"
        sides[name] = ArenaParticipantAnswer(
            title=side.title if may_know else f"Policy on the {name}",
            policyRef=side.policy if may_know else HIDDEN,
            simulationId=side.simulation,
            browserUrl=run if matchup.kind == BROWSER else None,
            recording=(side.recording or None) if may_know else None,
        )
    return ArenaMatchupAnswer(
        id=matchup.id,
        status=matchup.state,  # type: ignore[arg-type]  # the store holds nothing else
        voteUnlockAt=iso(matchup.unlock_at),
        kind=matchup.kind,  # type: ignore[arg-type]  # the same
        error=matchup.error or None,
        **sides,
    )


def leaderboard_answer(table: Table, titles: Mapping[str, str]) -> LeaderboardAnswer:
    """The table; a policy that was deleted goes by its name."""
    return LeaderboardAnswer.model_validate(shown(table, titles))
