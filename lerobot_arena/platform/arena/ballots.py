# SPDX-License-Identifier: Apache-2.0
"""Votes as values: what the table needs of each, all that it was about, and which of them count. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from lerobot_arena.platform.arena.matchup import COUNTED_PER_PAIR, PHYSICAL, STRANGER
from lerobot_arena.platform.arena.ratings import LEFT, RIGHT

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Ballot:
    """What the table needs of one vote."""

    kind: str
    left: str
    right: str
    winner: str
    voter: str
    voter_kind: str
    network: str
    at: float

    @property
    def whose(self) -> str:
        """Whom it counts for: a user, or the network of strangers, who change their names as they like."""
        return (self.network if self.voter_kind == STRANGER else "") or self.voter


@dataclass(frozen=True, slots=True)
class Trial(Ballot):
    """A vote with all that it was about; `evidence` names recordings of a physical one."""

    matchup: str
    left_content: str
    right_content: str
    robot_content: str
    scene_content: str
    evidence: str

    def sideless(self) -> "Trial":
        """The same vote, without what tells which policy is on which side of which matchup."""
        hidden = replace(self, matchup="", evidence="")
        if self.left < self.right:
            return hidden
        return replace(
            hidden,
            left=self.right,
            right=self.left,
            left_content=self.right_content,
            right_content=self.left_content,
            winner={LEFT: RIGHT, RIGHT: LEFT}.get(self.winner, self.winner),
        )


def counted(ballots: Iterable[Ballot]) -> Iterator[Ballot]:
    """Those that make the table: so many of one member or network on one pair and day (COUNTED_PER_PAIR).

    Physical trials all count: each is another run of the robot.
    """
    seen: Counter[tuple[str, str, str, int]] = Counter()
    for ballot in ballots:
        first, second = sorted((ballot.left, ballot.right))
        key = (ballot.whose, first, second, int(ballot.at // _DAY_S))
        seen[key] += 1
        if ballot.kind == PHYSICAL or seen[key] <= COUNTED_PER_PAIR.get(ballot.voter_kind, 1):
            yield ballot
