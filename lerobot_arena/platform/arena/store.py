# SPDX-License-Identifier: Apache-2.0
"""Matchups and votes in SQL. A voter and a network are keyed hashes; no address is ever written."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, fields

from sqlalchemy import (
    ColumnElement,
    Engine,
    Float,
    ForeignKey,
    String,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.core.errors import InvalidInput, NotFound
from lerobot_arena.platform.arena.ballots import Ballot, Trial
from lerobot_arena.platform.arena.matchup import (
    BROWSER,
    OPEN_S,
    PHYSICAL,
    SIDES,
    Matchup,
    Side,
)
from lerobot_arena.platform.storage.database import Base

_PAGE = 2_000
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
    network: Mapped[str] = mapped_column(String(32))
    """Of a stranger; empty for a user, and where it was not noted yet."""


_BALLOT = (
    MatchupRow.kind,
    MatchupRow.left_policy,
    MatchupRow.right_policy,
    VoteRow.winner,
    VoteRow.voter,
    VoteRow.voter_kind,
    VoteRow.network,
    VoteRow.at,
)
_TRIAL = (
    *_BALLOT,
    MatchupRow.id,
    MatchupRow.left_content,
    MatchupRow.right_content,
    MatchupRow.robot_content,
    MatchupRow.scene_content,
    VoteRow.evidence,
)
_ORDER = (VoteRow.at, VoteRow.matchup_id, VoteRow.voter)
# Matchup.closes_at; NULL while it is not known yet.
_closes_at = case(
    (MatchupRow.kind == PHYSICAL, MatchupRow.unlock_at + OPEN_S[PHYSICAL]),
    else_=MatchupRow.created_at + OPEN_S[BROWSER],
)


def _is_told(now: float) -> ColumnElement[bool]:
    # Who watches a robot knows which trial a new vote is of, and that one's policies are not in a public list.
    return or_(MatchupRow.kind != PHYSICAL, _closes_at <= now)


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
        self,
        matchup_id: str,
        voter: str,
        voter_kind: str,
        *,
        winner: str,
        at: float,
        evidence: str = "",
        network: str = "",
    ) -> None:
        """Write a vote. Raises InvalidInput when this voter has voted on it, even at the same moment."""
        row = VoteRow(
            matchup_id=matchup_id,
            voter=voter,
            voter_kind=voter_kind,
            winner=winner,
            at=at,
            evidence=evidence,
            network=network,
        )
        try:
            with self._open.begin() as db:
                db.add(row)
        except IntegrityError as error:
            raise InvalidInput("You have voted on this matchup already.") from error

    def prune(self, before: float) -> None:
        """Forget matchups of browsers that were launched before an instant and that nobody voted on."""
        voted = select(VoteRow.matchup_id)
        is_old = (MatchupRow.kind == BROWSER) & (MatchupRow.created_at < before)
        with self._open.begin() as db:
            db.execute(delete(MatchupRow).where(is_old, MatchupRow.id.not_in(voted)))

    def of_recording(self, recording: str) -> Matchup | None:
        """The physical trial that a recording is of."""
        is_side = or_(MatchupRow.left_recording == recording, MatchupRow.right_recording == recording)
        with self._open() as db:
            row = db.scalar(select(MatchupRow).where(MatchupRow.kind == PHYSICAL, is_side).limit(1))
            return None if row is None else _matchup(row)

    def ballots(self, now: float) -> Iterator[Ballot]:
        """Every vote that may be told, oldest first."""
        rows = select(*_BALLOT).join(VoteRow).where(_is_told(now)).order_by(*_ORDER)
        with self._open() as db:
            for row in db.execute(rows.execution_options(yield_per=_PAGE)):
                yield Ballot(*row)

    def next_told_at(self, now: float) -> float | None:
        """When votes that may not be told yet may first be."""
        with self._open() as db:
            found = db.scalar(
                select(func.min(_closes_at)).join(VoteRow).where(_closes_at > now, ~_is_told(now))
            )
            return None if found is None else float(found)

    def told_policies(self, now: float) -> set[str]:
        """Those that votes which may be told are about."""
        with self._open() as db:
            pairs = select(MatchupRow.left_policy, MatchupRow.right_policy).join(VoteRow)
            return {name for pair in db.execute(pairs.where(_is_told(now)).distinct()) for name in pair}

    def trials(self, now: float) -> Iterator[Trial]:
        """As `ballots`, with all that they were about; of open matchups without the sides.

        The database is held a page at a time only: whoever downloads them may be slow.
        """
        after: tuple[float, str, str] | None = None
        rows = select(*_TRIAL, _closes_at > now).join(VoteRow).where(_is_told(now))
        while True:
            page = rows if after is None else rows.where(tuple_(*_ORDER) > tuple_(*map(literal, after)))
            with self._open() as db:
                found = db.execute(page.order_by(*_ORDER).limit(_PAGE)).all()
            for *values, is_open in found:
                trial = Trial(*values)
                after = (trial.at, trial.matchup, trial.voter)
                yield trial.sideless() if is_open else trial
            if len(found) < _PAGE:
                return


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
