# SPDX-License-Identifier: Apache-2.0
"""One blind comparison: what it compares, when it may be voted on, and by whom. Pure."""

import hashlib
import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lerobot_arena.core.errors import InvalidInput, TooMany
from lerobot_arena.platform.arena.ratings import WINNERS

QUEUED, STARTING, READY, FAILED = "queued", "starting", "ready", "failed"
SIDES = ("left", "right")
BROWSER, PHYSICAL = "browser", "physical"

UNLOCK_S = 10.0
"""People need to see both policies move before they prefer one."""
VOTES_A_DAY = 200
STRANGER, MEMBER = "stranger", "member"
COUNTED_PER_PAIR = {STRANGER: 1, MEMBER: 10}
"""Votes on one pair and day that count: of one member, or of all strangers in one network. More change nothing."""
OPEN_S = {BROWSER: 86_400.0, PHYSICAL: 1_800.0}
"""How long a matchup takes votes, from its launch or from the end of its runs. What tells its sides waits for that."""

# RoboArena's exploration weight (arXiv 2506.18123, its central server): rarely seen policies are drawn more often.
_EXPLORE, _POWER = 500.0, 0.8


@dataclass(frozen=True, slots=True)
class Side:
    """What runs in one pane, or on the robot; `content` is the sha256 of the exact policy that was shown.

    `recording` is of a run on a robot.
    """

    policy: str
    title: str
    simulation: str
    content: str
    recording: str = ""


@dataclass(frozen=True, slots=True)
class Matchup:
    """Two policies on the same robot and scene, whose contents are named by hash as well.

    `ready` are the sides whose page has been loaded, or whose run on the robot has ended.
    """

    id: str
    left: Side
    right: Side
    robot: str
    scene: str
    robot_content: str
    scene_content: str
    created_at: float
    state: str = STARTING
    kind: str = BROWSER
    unlock_at: float | None = None
    error: str = ""
    ready: frozenset[str] = field(default_factory=frozenset)

    def side(self, name: str) -> Side:
        """`left` or `right`."""
        return self.left if name == "left" else self.right

    def with_side(self, name: str, side: Side) -> "Matchup":
        """With another left or right one."""
        return replace(self, left=side) if name == "left" else replace(self, right=side)

    @property
    def evidence(self) -> str:
        """The recordings of a physical trial's sides; empty for what ran in browsers."""
        names = {name: self.side(name).recording for name in SIDES}
        return " ".join(f"{name}:{recording}" for name, recording in names.items() if recording)

    def opened(self, name: str, now: float) -> "Matchup":
        """A side's page was loaded: both have to be watched for a while from then on."""
        unlock_at = max(self.unlock_at or 0.0, now + UNLOCK_S) if self.state == READY else self.unlock_at
        return replace(self, ready=self.ready | {name}, unlock_at=unlock_at)

    @property
    def closes_at(self) -> float:
        """From then on nobody can vote any more; infinite while a robot has not run both."""
        start = self.unlock_at if self.kind == PHYSICAL else self.created_at
        return math.inf if start is None else start + OPEN_S[self.kind]

    @property
    def pair(self) -> tuple[str, str]:
        """Both policies, whichever side they are on."""
        first, second = sorted((self.left.policy, self.right.policy))
        return first, second


def voter_key(secret: bytes, *, user: str | None, address: str, agent: str) -> str:
    """What tells voters apart without saying who they are: of a user the name's, else address and agent's keyed hash.

    A plain hash of an address could be undone by trying all of them; the key stays with the server.
    """
    text = f"user\0{user}" if user is not None else f"address\0{address}\0{agent}"
    return hmac.new(secret, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def network_key(secret: bytes, network: str) -> str:
    """What tells networks apart without saying which they are."""
    return hmac.new(secret, f"network\0{network}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:32]


def check_vote(matchup: Matchup, winner: str, *, now: float, has_voted: bool, votes_today: int) -> None:
    """Raises InvalidInput when this vote cannot be taken now, TooMany when the voter has voted enough today."""
    if winner not in WINNERS:
        raise InvalidInput(f"A vote's winner is one of {', '.join(WINNERS)}.")
    if matchup.state != READY or matchup.unlock_at is None:
        raise InvalidInput(
            f"Matchup {matchup.id} is {matchup.state}; it can be voted on when both sides run."
        )
    if now < matchup.unlock_at:
        raise InvalidInput(f"Watch both for {matchup.unlock_at - now:.0f} s more, then vote.")
    if now >= matchup.closes_at:
        minutes = OPEN_S[matchup.kind] / 60
        raise InvalidInput(
            f"Matchup {matchup.id} took votes for {minutes:g} min and is closed: take another."
        )
    if has_voted:
        raise InvalidInput("You have voted on this matchup already.")
    if votes_today >= VOTES_A_DAY:
        raise TooMany(f"{VOTES_A_DAY} votes a day is the most.", retry_after_s=3600.0)


def draw_pair(policies: Sequence[str], games: dict[str, int], random: np.random.Generator) -> tuple[str, str]:
    """(left, right): one policy that has been seen rarely, one of the others, on random sides.

    Raises InvalidInput when there are fewer than two.
    """
    if len(policies) < 2:
        raise InvalidInput(
            "A matchup needs two active policies that share a robot and a scene; publish another one."
        )
    weights = np.array([(_EXPLORE / (games.get(name, 0) + 1)) ** _POWER for name in policies])
    first = policies[int(random.choice(len(policies), p=weights / weights.sum()))]
    others = [name for name in policies if name != first]
    second = others[int(random.integers(len(others)))]
    return (first, second) if random.random() < 0.5 else (second, first)
