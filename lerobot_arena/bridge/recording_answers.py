# SPDX-License-Identifier: Apache-2.0
"""Recordings as seed 3 lists them, and their notable cycles as the risk log's events. Pure."""

import hashlib
from collections import deque
from collections.abc import Iterator
from typing import Any

from lerobot_arena.bridge.risk_event import News, outcome_of, risk_event
from lerobot_arena.core.clock import NS
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.recording.cycles import glances, notable_cycles
from lerobot_arena.recording.glance import Glance
from lerobot_arena.recording.index import Span
from lerobot_arena.recording.names import as_in_seed
from lerobot_arena.recording.reader import ALL, Recording, cameras_of
from lerobot_arena.recording.slicing import Slicer
from lerobot_arena.recording.totals import FileEntry, SessionEntry

_MB = 1e6
# Of recording/session_record.py.
_POLICY = frozenset({"policy", "policy_hash", "policy_session_id"})


def _seconds(stamp_ns: int) -> float | None:
    return stamp_ns / NS if stamp_ns else None


def listed(entry: SessionEntry) -> dict[str, Any]:
    """A line of GET /mcap/sessions. `rotated_at`: when the newest whole file ended; null while the first is written."""
    whole = [file for file in entry.files if not file.is_active]
    return {
        "session_id": entry.session_id,
        "filename": entry.files[0].name,
        "size_mb": entry.size / _MB,
        "created_at": entry.start_ns / NS if entry.start_ns else entry.files[0].mtime_ns / NS,
        "rotated_at": (whole[-1].totals.end_ns or whole[-1].mtime_ns) / NS if whole else None,
        "file_count": len(entry.files),
        "total_cycles": entry.total("cycles"),
        "violation_cycles": entry.total("violations"),
        "clamp_cycles": entry.total("clamps"),
        "has_images": entry.has_images,
        "arm": entry.arm,
        "active": entry.is_active,
        "damaged": any(file.damage for file in entry.files),
        "damage": " ".join(f"{file.name}: {file.damage}" for file in entry.files if file.damage),
        "task": entry.session.get("task") or None,
    }


def detailed(entry: SessionEntry, *, is_secret: bool = False) -> dict[str, Any]:
    """GET /mcap/sessions/{session_id}; `is_secret`: what ran is not told."""
    hidden = _POLICY if is_secret else frozenset()
    topics, cycles = entry.topics, entry.cycle_range
    compressions = sorted({file.totals.compression for file in entry.files if file.totals.compression})
    names = {topic: as_in_seed(topic, entry.arm) for topic in sorted(topics)}
    return {
        **listed(entry),
        "start_time": _seconds(entry.start_ns),
        "end_time": _seconds(entry.end_ns),
        "compression": ", ".join(compressions) or "none",
        "channels": list(names.values()),
        "topics": [
            {"channel": name, "topic": topic, "type": topics[topic][0], "messages": topics[topic][1]}
            for topic, name in names.items()
        ],
        "cameras": sorted(cameras_of({topic: type_name for topic, (type_name, _) in topics.items()})),
        "first_cycle": cycles[0] if cycles else None,
        "last_cycle": cycles[1] if cycles else None,
        "files": [_file(file) for file in entry.files],
        "metadata": {name: value for name, value in entry.session.items() if name not in hidden},
    }


def _file(file: FileEntry) -> dict[str, Any]:
    return {
        "filename": file.name,
        "size_mb": file.size / _MB,
        "start_time": _seconds(file.totals.start_ns),
        "end_time": _seconds(file.totals.end_ns),
        "total_cycles": file.totals.cycles,
        "active": file.is_active,
        "damaged": bool(file.damage),
        "damage": file.damage,
    }


def slice_tag(slicer: Slicer) -> str:
    """An ETag: equal as long as the slice is made of the same bytes, also in another process."""
    seen = [
        slicer.wanted.start,
        slicer.wanted.end,
        sorted(slicer.wanted.topics or ()),
        slicer.wanted.topics is None,
    ]
    for file in slicer.recording.files:
        stat = file.source.path.stat()
        seen += [file.source.path.name, stat.st_size, stat.st_mtime_ns, file.index.position]
    return f'"{hashlib.sha256(repr(seen).encode()).hexdigest()[:32]}"'


def cycle_lines(
    recording: Recording, *, start: int, end: int, outcome: str | None, min_risk: RiskLevel, limit: int
) -> Iterator[dict[str, Any]]:
    """Up to `limit` cycles of a list, in order, undecoded; spans without such an outcome are not read."""
    for file in recording.files:
        for span in file.index.spans:
            if not _may_hold(span, start, end, outcome, min_risk):
                continue
            for seen, log_ns in glances(file, span):
                is_inside = start <= seen.cycle_id and (end == ALL or seen.cycle_id <= end)
                line = _line(seen, log_ns)
                if is_inside and seen.risk >= min_risk and outcome in {None, line["outcome"]}:
                    yield line
                    limit -= 1
                    if limit == 0:
                        return


def _may_hold(span: Span, start: int, end: int, outcome: str | None, min_risk: RiskLevel) -> bool:
    if not span.cycles or span.last_cycle < start or (end != ALL and span.first_cycle > end):
        return False
    if min_risk > RiskLevel.NORMAL and not span.notable and span.risk_before < min_risk:
        return False
    count = {"reject": span.violations, "clamp": span.clamps}.get(outcome or "")
    return count is None or count > 0


def _line(seen: Glance, log_ns: int) -> dict[str, Any]:
    return {
        "cycle_id": seen.cycle_id,
        "timestamp": seen.stamp_s + seen.stamp_ns / NS,
        "log_time": log_ns / NS,
        "decision": _name(Decision, seen.decision),
        "outcome": outcome_of(Decision(min(seen.decision, Decision.FAULT))),
        "risk_level": _name(RiskLevel, seen.risk),
        "command": _name(Outcome, seen.outcome).lower(),
        "late": bool(seen.late),
    }


def _name(kind: Any, number: int) -> str:
    try:
        return str(kind(number).name)
    except ValueError:  # of a newer version
        return str(number)


def risk_events(
    recording: Recording,
    *,
    min_risk: RiskLevel,
    outcome: str | None,
    failure_type: str | None,
    limit: int,
) -> list[dict[str, Any]]:
    """The newest `limit` events of a recording, newest first, as the live risk log would have kept them.

    Raises DamagedFile.
    """
    kept: deque[dict[str, Any]] = deque(maxlen=limit)
    news, number = News(), 0
    for file in recording.files:
        for record in notable_cycles(file):
            if not news.holds(recording.arm, record):
                continue
            number += 1
            event = risk_event(record, recording.arm, mcap_filename=file.source.path.name)
            if (
                record.risk >= min_risk
                and outcome in {None, event["outcome"]}
                and failure_type in {None, event["failure_type"]}
            ):
                kept.append({"event_id": number, **event})
    return list(reversed(kept))
