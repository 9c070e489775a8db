# SPDX-License-Identifier: Apache-2.0
"""A recording as a table of its cycles (CSV) or as its messages (JSON), written while it is read."""

import csv
import json
from collections.abc import Collection, Iterator
from math import isfinite
from typing import Any, TextIO

from lerobot_arena.core.clock import NS
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.recording.index import IMAGE_TYPES
from lerobot_arena.recording.reader import ALL, Recording
from lerobot_arena.recording.values import plain

_FIXED = (
    "cycle_id", "timestamp", "steady_s", "state", "task", "decision", "outcome", "risk", "reaction", "reason", "late",
    "queue_steps", "action_age_s", "total_ms",
)  # fmt: skip
_ARRAYS = ("measured", "proposed", "executed")


def write_cycles_csv(recording: Recording, out: TextIO, *, start: int = 0, end: int = ALL) -> int:
    """One line a cycle; `measured.<joint>` and so on are empty where there was nothing. Returns how many.

    Joints are those of the first cycle that has some. Raises DamagedFile.
    """
    names: tuple[str, ...] = next((r.joint_names for r in recording.cycles() if r.joint_names), ())
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*_FIXED, *(f"{array}.{name}" for array in _ARRAYS for name in names)])
    count = 0
    for record in recording.cycles(start, end):
        writer.writerow(_row(record, names))
        count += 1
    return count


def _row(record: CycleRecord, names: tuple[str, ...]) -> list[Any]:
    total_ms = next((stage.p50_ms for stage in record.stages if stage.name == "total"), "")
    row: list[Any] = [
        record.cycle_id, f"{record.stamp_ns / NS:.9f}", f"{record.steady_ns / NS:.9f}", record.state, record.task,
        record.decision.name, record.outcome.name.lower(), record.risk.name, record.reaction, record.reason,
        int(record.late), record.queue_steps, record.action_age_s, total_ms,
    ]  # fmt: skip
    for array in _ARRAYS:
        values = dict(zip(record.joint_names, getattr(record, array)))
        row += [values.get(name, "") for name in names]
    return row


def write_messages_json(
    recording: Recording,
    out: TextIO,
    *,
    topics: Collection[str] | None = None,
    start_ns: int = 0,
    end_ns: int = 2**63,
) -> int:
    """A JSON array with an object a message, one a line; without `topics` everything but pictures. Returns how many.

    Bytes are given by their number; what JSON cannot say (NaN) is null. Raises DamagedFile.
    """
    chosen = topics or [topic for topic, kind in recording.topics.items() if kind not in IMAGE_TYPES]
    count = 0
    for line in _lines(recording, chosen, start_ns, end_ns):
        out.write(("[\n" if count == 0 else ",\n") + line)
        count += 1
    out.write("[]\n" if count == 0 else "\n]\n")
    return count


def _lines(recording: Recording, topics: Collection[str], start_ns: int, end_ns: int) -> Iterator[str]:
    for message in recording.messages(topics, start_ns=start_ns, end_ns=end_ns):
        yield json.dumps(
            {
                "topic": message.topic,
                "type": message.type_name,
                "log_time": message.log_time / NS,
                "message": _sayable(plain(message.value)),
            },
            ensure_ascii=False,
            allow_nan=False,
        )


def _sayable(value: Any) -> Any:
    if isinstance(value, float):
        return value if isfinite(value) else None
    if isinstance(value, dict):
        return {key: _sayable(item) for key, item in value.items()}
    return [_sayable(item) for item in value] if isinstance(value, list) else value
