# SPDX-License-Identifier: Apache-2.0
"""Matchups and votes in SQL. A voter is a keyed hash; no address is ever written."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields

from sqlalchemy import Engine, Float, ForeignKey, String, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.arena.matchup import COUNTED_PER_PAIR, PHYSICAL, SIDES, Matchup, Side
from lerobot_arena.platform.arena.ratings import Vote
from lerobot_arena.platform.storage.database import Base

_DAY_S = 86_400.0
_SIDE_FIELDS = tuple(field.name for field in fields(Side))


class MatchupRow(Base):
    __tablename__ = "matchups"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    created_at: Mapped[float] = mapped_column(Float)
    state: Mapped[str] = mapped_column(String(16))
    kind: Mapped[str] = mapped_column(String(16))
    unlock_at: Mapped[float | None] = mapped_column(Float)
    error: Mapped[str] = mapped_column(String(500))
    ready: Mapped[str] = mapped_column(String(16))
    robot: Mapped[str] = mapped_column(String(300))
    robot_content: Mapped[str] = mapped_column(String(64))
    scene: Mapped[str] = mapped_column(String(300))
    scene_content: Mapped[str] = mapped_column(String(64))
    left_policy: Mapped[str] = mapped_column(String(300))
    left_title: Mapped[str] = mapped_column(String(200))
    left_simulation: Mapped[str] = mapped_column(String(40))
    left_content: Mapped[str] = mapped_column(String(64))
    right_policy: Mapped[str] = mapped_column(String(300))
    right_title: Mapped[str] = mapped_column(String(200))
    right_simulation: Mapped[str] = mapped_column(String(40))
    right_content: Mapped[str] = mapped_column(String(64))
    left_recording: Mapped[str] = mapped_column(String(200))
    right_recording: Mapped[str] = mapped_column(String(200))


class VoteRow(Base):
    __tablename__ = "votes"

    matchup_id: Mapped[str] = mapped_column(ForeignKey("matchups.id", ondelete="CASCADE"), primary_key=True)
    voter: Mapped[str] = mapped_column(String(32), primary_key=True)
    voter_kind: Mapped[str] = mapped_column(String(16))
    winner: Mapped[str] = mapped_column(String(16))
    at: Mapped[float] = mapped_column(Float)
    evidence: Mapped[str] = mapped_column(String(1000))


@dataclass(frozen=True, slots=True)
class Trial:
    """One vote with all that is needed to compute the table again; `evidence` names recordings of a physical one."""

    matchup: str
    kind: str
    left: str
    right: str
    left_content: str
    right_content: str
    robot_content: str
    scene_content: str
    winner: str
    voter: str
    voter_kind: str
    at: float
    evidence: str


class ArenaStore:
    """Blocking; call it off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def save(self, matchup: Matchup) -> None:
        """Insert or replace a matchup."""
        with self._open.begin() as db:
            db.merge(_row(matchup))

    def get(self, matchup_id: str) -> Matchup:
        """One matchup. Raises NotFound."""
        with self._open() as db:
            row = db.get(MatchupRow, matchup_id)
            if row is None:
                raise NotFound(f"There is no matchup {matchup_id[:60]!r}.")
            return _matchup(row)

    def of_state(self, kind: str, state: str) -> list[Matchup]:
        """Matchups of a kind that are in a state."""
        with self._open() as db:
            rows = db.scalars(select(MatchupRow).where(MatchupRow.kind == kind, MatchupRow.state == state))
            return [_matchup(row) for row in rows]

    def games(self) -> Counter[str]:
        """How often each policy has been in a matchup, for drawing the next one."""
        count: Counter[str] = Counter()
        with self._open() as db:
            for side in (MatchupRow.left_policy, MatchupRow.right_policy):
                for policy, number in db.execute(select(side, func.count()).group_by(side)):
                    count[policy] += number
        return count

    def has_voted(self, matchup_id: str, voter: str) -> bool:
        """This voter, on this matchup."""
        with self._open() as db:
            return db.get(VoteRow, (matchup_id, voter)) is not None

    def votes_since(self, voter: str, since: float) -> int:
        """Votes of this voter from an instant on."""
        with self._open() as db:
            rows = select(func.count()).where(VoteRow.voter == voter, VoteRow.at >= since)
            return int(db.scalar(rows) or 0)

    def vote(
        self, matchup_id: str, voter: str, voter_kind: str, *, winner: str, at: float, evidence: str = ""
    ) -> None:
        """Write a vote. Raises InvalidInput when this voter has voted on it, even at the same moment."""
        try:
            with self._open.begin() as db:
                db.add(
                    VoteRow(
                        matchup_id=matchup_id,
                        voter=voter,
                        voter_kind=voter_kind,
                        winner=winner,
                        at=at,
                        evidence=evidence,
                    )
                )
        except IntegrityError as error:
            raise InvalidInput("You have voted on this matchup already.") from error

    def trials(self) -> list[Trial]:
        """Every vote, oldest first."""
        with self._open() as db:
            found = db.execute(
                select(VoteRow, MatchupRow).join(MatchupRow).order_by(VoteRow.at, VoteRow.matchup_id)
            )
            return [_trial(vote, matchup) for vote, matchup in found]


def counted(trials: Iterable[Trial]) -> list[Vote]:
    """The votes that make the table: of one voter only so many on one pair and day (COUNTED_PER_PAIR).

    Physical trials all count: each is another run of the robot.
    """
    seen: Counter[tuple[str, frozenset[str], int]] = Counter()
    votes = []
    for trial in trials:
        key = (trial.voter, frozenset((trial.left, trial.right)), int(trial.at // _DAY_S))
        seen[key] += 1
        if trial.kind == PHYSICAL or seen[key] <= COUNTED_PER_PAIR.get(trial.voter_kind, 1):
            votes.append(Vote(trial.left, trial.right, trial.winner, trial.voter))
    return votes


def _row(matchup: Matchup) -> MatchupRow:
    values = asdict(matchup)
    sides = {
        f"{name}_{field}": value for name in SIDES for field, value in asdict(matchup.side(name)).items()
    }
    plain = {name: value for name, value in values.items() if name not in {*SIDES, "ready"}}
    return MatchupRow(**plain, **sides, ready=",".join(sorted(matchup.ready)))


def _matchup(row: MatchupRow) -> Matchup:
    left, right = (Side(*(getattr(row, f"{name}_{field}") for field in _SIDE_FIELDS)) for name in SIDES)
    return Matchup(
        id=row.id,
        left=left,
        right=right,
        robot=row.robot,
        scene=row.scene,
        robot_content=row.robot_content,
        scene_content=row.scene_content,
        created_at=row.created_at,
        state=row.state,
        kind=row.kind,
        unlock_at=row.unlock_at,
        error=row.error,
        ready=frozenset(filter(None, row.ready.split(","))),
    )


def _trial(vote: VoteRow, matchup: MatchupRow) -> Trial:
    return Trial(
        matchup=matchup.id,
        kind=matchup.kind,
        left=matchup.left_policy,
        right=matchup.right_policy,
        left_content=matchup.left_content,
        right_content=matchup.right_content,
        robot_content=matchup.robot_content,
        scene_content=matchup.scene_content,
        winner=vote.winner,
        voter=vote.voter,
        voter_kind=vote.voter_kind,
        at=vote.at,
        evidence=vote.evidence,
    )
