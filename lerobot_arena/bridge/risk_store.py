# SPDX-License-Identifier: Apache-2.0
"""The risk log in SQL: what is filtered by has a column, the rest of an event is its JSON."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import BigInteger, Engine, Float, Index, String, delete, func, or_, select
from sqlalchemy.orm import Mapped, mapped_column, sessionmaker

from lerobot_arena.bridge.errors import Unprocessable
from lerobot_arena.bridge.recorder_event import RecorderNews, recorder_event
from lerobot_arena.bridge.risk_event import CLAMP, OUTCOMES, RECORDER, REJECT
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.topics import VIRTUAL_ARMS
from lerobot_arena.platform.storage.database import Base

_PAGE = 500


class RiskRow(Base):
    __tablename__ = "risk_events"
    __table_args__ = (Index("ix_risk_events_timestamp", "timestamp"), {"sqlite_autoincrement": True})

    event_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    timestamp: Mapped[float] = mapped_column(Float)
    arm: Mapped[str] = mapped_column(String(256))
    session_id: Mapped[str] = mapped_column(String(64))
    risk: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(8))
    failure_type: Mapped[str] = mapped_column(String(32))
    total_latency_ms: Mapped[float] = mapped_column(Float)
    body: Mapped[str]


class RecorderMark(Base):
    """Up to which event a recorder process is in the log; outlives a clear, which nothing may bring back."""

    __tablename__ = "recorder_marks"

    boot_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    timestamp: Mapped[float] = mapped_column(Float)


@dataclass(frozen=True, slots=True)
class RiskFilter:
    """Which events; None does not filter. All that is given has to hold."""

    since: float | None = None
    until: float | None = None
    min_risk: RiskLevel | None = None
    outcome: str | None = None
    failure_type: str | None = None
    arm: str | None = None
    session_id: str | None = None
    virtual_arms: frozenset[str] | None = None
    """Of the virtual arms only these; None: of all."""

    def __post_init__(self) -> None:
        if self.since is not None and self.until is not None and self.since > self.until:
            raise Unprocessable(f"since {self.since} lies after until {self.until}.")

    def of(self, query: Any) -> Any:
        """A select over risk_events, narrowed; SQLAlchemy's types of it differ from 2.0 to 2.1."""
        if self.since is not None:
            query = query.where(RiskRow.timestamp >= self.since)
        if self.until is not None:
            query = query.where(RiskRow.timestamp <= self.until)
        if self.min_risk is not None:
            query = query.where(RiskRow.risk >= int(self.min_risk))
        for name in ("outcome", "failure_type", "arm", "session_id"):
            if (value := getattr(self, name)) is not None:
                query = query.where(getattr(RiskRow, name) == value)
        if self.virtual_arms is not None:
            is_physical = ~RiskRow.arm.startswith(VIRTUAL_ARMS, autoescape=True)
            query = query.where(or_(is_physical, RiskRow.arm.in_(self.virtual_arms)))
        return query


def one_outcome(outcome: str | None, *, rejected_only: bool, clamped_only: bool) -> str | None:
    """The outcome meant by it and its two older aliases. Raises Unprocessable when they contradict each other."""
    aliases = {REJECT} if rejected_only else set()
    aliases |= {CLAMP} if clamped_only else set()
    meant = aliases | ({outcome} if outcome is not None else set())
    if len(meant) > 1:
        raise Unprocessable(
            f"outcome, rejected_only and clamped_only contradict each other: {', '.join(sorted(meant))}."
        )
    return next(iter(meant), None)


class RiskStore:
    """Blocking; call it off the event loop."""

    def __init__(self, engine: Engine) -> None:
        self._open = sessionmaker(engine)

    def insert(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Append events in their order."""
        with self._open.begin() as db:
            db.add_all(_row(event) for event in events)

    def insert_news(self, news: RecorderNews) -> int:
        """Append what the log has not had yet of a recorder's events; how many that were."""
        with self._open.begin() as db:
            mark = db.get(RecorderMark, news.boot_id)
            fresh = news.after(mark.number if mark is not None else 0).events
            if fresh:
                db.add_all(_row(recorder_event(event, news.arm, news.boot_id)) for event in fresh)
                newest = fresh[-1]
                db.merge(RecorderMark(boot_id=news.boot_id, number=newest.number, timestamp=newest.at_unix))
            return len(fresh)

    def prune(self, *, max_events: int, oldest: float) -> None:
        """Keep the newest `max_events`, and none from before `oldest` (seconds since 1970)."""
        with self._open.begin() as db:
            db.execute(delete(RiskRow).where(RiskRow.timestamp < oldest))
            db.execute(delete(RecorderMark).where(RecorderMark.timestamp < oldest))
            ids = select(RiskRow.event_id).order_by(RiskRow.event_id.desc())
            last_too_many = db.scalar(ids.offset(max_events).limit(1))
            if last_too_many is not None:
                db.execute(delete(RiskRow).where(RiskRow.event_id <= last_too_many))

    def newest(self, wanted: RiskFilter, limit: int) -> list[dict[str, Any]]:
        """The newest events first."""
        with self._open() as db:
            query = wanted.of(select(RiskRow)).order_by(RiskRow.event_id.desc()).limit(limit)
            return [_event(row) for row in db.scalars(query)]

    def get(self, event_id: int, wanted: RiskFilter | None = None) -> dict[str, Any] | None:
        """One event, if the filter lets it through."""
        query = (wanted or RiskFilter()).of(select(RiskRow)).where(RiskRow.event_id == event_id)
        with self._open() as db:
            row = db.scalar(query)
            return _event(row) if row is not None else None

    def each(self, wanted: RiskFilter) -> Iterator[dict[str, Any]]:
        """All of them, oldest first, a page at a time: what is added meanwhile comes too, what is deleted does not."""
        after = -1
        while True:
            with self._open() as db:
                query = wanted.of(select(RiskRow)).where(RiskRow.event_id > after).order_by(RiskRow.event_id)
                page = [_event(row) for row in db.scalars(query.limit(_PAGE))]
            yield from page
            if len(page) < _PAGE:
                return
            after = page[-1]["event_id"]

    def stats(self, wanted: RiskFilter) -> dict[str, Any]:
        """Counts, and the mean cycle time in ms (None without cycles)."""
        with self._open() as db:
            groups = wanted.of(select(RiskRow.outcome, RiskRow.risk, func.count()))
            rows = db.execute(groups.group_by(RiskRow.outcome, RiskRow.risk)).all()
            of_cycles = select(func.avg(RiskRow.total_latency_ms)).where(RiskRow.failure_type != RECORDER)
            mean_ms = db.scalar(wanted.of(of_cycles))
        by_outcome, by_level = dict.fromkeys(OUTCOMES, 0), {level.name: 0 for level in RiskLevel}
        for outcome, risk, count in rows:
            by_outcome[outcome] += count
            by_level[RiskLevel(risk).name] += count
        return {
            "total": sum(by_outcome.values()),
            "rejected": by_outcome[REJECT],
            "clamped": by_outcome[CLAMP],
            "by_risk_level": by_level,
            "avg_latency_ms": mean_ms,
        }

    def clear(self) -> int:
        """Delete every event; how many there were. Ids go on from where they were."""
        with self._open.begin() as db:
            count = db.scalar(select(func.count()).select_from(RiskRow)) or 0
            db.execute(delete(RiskRow))
            return count


def _row(event: Mapping[str, Any]) -> RiskRow:
    return RiskRow(
        timestamp=event["timestamp"],
        arm=event["arm"],
        session_id=event["session_id"],
        risk=int(RiskLevel[event["risk_level"]]),
        outcome=event["outcome"],
        failure_type=event["failure_type"] or "",
        total_latency_ms=event["latency_ms"].get("total", 0.0),
        body=orjson.dumps(event).decode(),
    )


def _event(row: RiskRow) -> dict[str, Any]:
    return {"event_id": row.event_id, **orjson.loads(row.body)}
