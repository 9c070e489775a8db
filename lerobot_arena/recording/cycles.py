# SPDX-License-Identifier: Apache-2.0
"""Cycles of a recording by their ids: which stretch of time they took, and single ones, without reading the rest."""

from collections.abc import Iterator
from dataclasses import dataclass

from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.verdict import Decision
from lerobot_arena.recording import values
from lerobot_arena.recording.glance import CYCLE_TYPE, Glance, glance
from lerobot_arena.recording.index import Span
from lerobot_arena.recording.reader import ALL, RecordedFile, Recording

BEGINNING, END = -1, 2**63


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of log time in ns: after `after_ns` and until `until_ns`, that one included."""

    after_ns: int
    until_ns: int

    def holds(self, log_time: int) -> bool:
        return self.after_ns < log_time <= self.until_ns


def glances(file: RecordedFile, span: Span) -> Iterator[tuple[Glance, int]]:
    """Each cycle in a span with its log time, undecoded. Raises DamagedFile."""
    for raw in file.raw_messages(span, file.index.ids(CYCLE_TYPE)):
        seen = glance(raw.data)
        if seen is not None:
            yield seen, raw.log_time


def windows(recording: Recording, start: int, end: int) -> list[Window]:
    """The time of cycles `start` to `end` (both included, ALL: to the end).

    What came since the cycle before belongs to a cycle. More than one window when a guard that started again counted
    anew. Only spans that lie on a border are read. Raises DamagedFile.
    """
    found: list[Window] = []
    before_ns, is_open = BEGINNING, False
    for first, last, log_ns in _runs(recording, start, end):
        chosen = last >= start and (end == ALL or first <= end)
        if chosen and is_open:
            found[-1] = Window(found[-1].after_ns, log_ns)
        elif chosen:
            found.append(Window(before_ns, log_ns))
        is_open, before_ns = chosen, log_ns
    if end == ALL and is_open:
        found[-1] = Window(found[-1].after_ns, END)
    return found


def _runs(recording: Recording, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(least id, largest id, log time of the last) of stretches that are chosen whole or not at all."""
    for file in recording.files:
        for span in file.index.spans:
            if not span.cycles:
                continue
            is_outside = span.last_cycle < start or (end != ALL and span.first_cycle > end)
            is_inside = span.first_cycle >= start and (end == ALL or span.last_cycle <= end)
            if is_outside or is_inside:
                yield span.first_cycle, span.last_cycle, span.last_cycle_ns
            else:
                yield from ((seen.cycle_id, seen.cycle_id, log_ns) for seen, log_ns in glances(file, span))


def cycle_range(recording: Recording) -> tuple[int, int] | None:
    """The least and the largest cycle id; None without cycles."""
    spans = [span for file in recording.files for span in file.index.spans if span.cycles]
    if not spans:
        return None
    return min(span.first_cycle for span in spans), max(span.last_cycle for span in spans)


@dataclass(frozen=True, slots=True)
class Found:
    """A cycle, the file it lies in, and when it was recorded."""

    record: CycleRecord
    filename: str
    log_ns: int


def find_cycle(recording: Recording, cycle_id: int) -> Found:
    """The newest cycle of this id. Raises NotFound, DamagedFile."""
    for file in reversed(recording.files):
        for span in reversed(file.index.spans):
            if span.cycles and span.first_cycle <= cycle_id <= span.last_cycle:
                for raw in reversed(list(file.raw_messages(span, file.index.ids(CYCLE_TYPE)))):
                    seen = glance(raw.data)
                    if seen is not None and seen.cycle_id == cycle_id:
                        value = values.decoded(file.decoder(raw.channel_id), raw.data, CYCLE_TYPE)
                        return Found(values.cycle_of(value), file.source.path.name, raw.log_time)
    known = cycle_range(recording)
    has = f"it has cycles {known[0]} to {known[1]}" if known else "it has none"
    raise NotFound(f"There is no cycle {cycle_id} in this recording: {has}; some may have been dropped.")


def notable_cycles(file: RecordedFile) -> Iterator[CycleRecord]:
    """Cycles that were changed or refused, or whose risk differs from the cycle's before. Raises DamagedFile.

    Spans without any are not read.
    """
    ids = file.index.ids(CYCLE_TYPE)
    for span in file.index.spans:
        risk = span.risk_before
        for raw in file.raw_messages(span, ids) if span.notable else ():
            seen = glance(raw.data)
            if seen is None:
                continue
            if seen.decision > Decision.PASS or seen.risk != risk:
                yield values.cycle_of(values.decoded(file.decoder(raw.channel_id), raw.data, CYCLE_TYPE))
            risk = seen.risk
