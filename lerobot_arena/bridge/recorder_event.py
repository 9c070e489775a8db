# SPDX-License-Identifier: Apache-2.0
"""What a recorder says of its disk, as events of the risk log. Pure."""

import math
from dataclasses import dataclass
from typing import Any

import orjson

from lerobot_arena.bridge.risk_event import PASS, RECORDER
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.recording.status import ERROR, WARN, Event

_RISKS = {ERROR: RiskLevel.CRITICAL, WARN: RiskLevel.ELEVATED}
_MOST_TEXT = 4000


@dataclass(frozen=True, slots=True)
class RecorderNews:
    """The latest events of one recorder process; `number` is unique within a `boot_id`."""

    arm: str
    boot_id: str
    events: tuple[Event, ...] = ()

    def after(self, number: int) -> "RecorderNews":
        """Those that came later, in their order."""
        later = sorted((event for event in self.events if event.number > number), key=lambda e: e.number)
        return RecorderNews(self.arm, self.boot_id, tuple(later))


def recorder_news(arm: str, text: str) -> RecorderNews:
    """The events in a `recorder/status`. Raises ValueError when it is none."""
    status = orjson.loads(text)
    try:
        events = tuple(_event(item) for item in status["events"])
        boot_id = str(status["boot_id"])
    except (KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"no recorder status: {error!r}") from error
    if not 0 < len(boot_id) <= 64:
        raise ValueError(f"a boot_id of {len(boot_id)} characters")
    for event in events:
        if not (0 < event.number < 2**63 and math.isfinite(event.at_unix)):
            raise ValueError(f"event {event.number} at {event.at_unix}")
    return RecorderNews(arm, boot_id, events)


def _event(item: dict[str, Any]) -> Event:
    return Event(
        number=int(item["number"]),
        at_unix=float(item["at_unix"]),
        level=int(item["level"]),
        session_id=str(item["session_id"]),
        text=str(item["text"])[:_MOST_TEXT],
    )


def recorder_event(event: Event, arm: str, boot_id: str) -> dict[str, Any]:
    """An event of the risk log without its event_id: no cycle (number 0), no guard, no session of a policy."""
    return {
        "timestamp": event.at_unix,
        "cycle_id": 0,
        "trace_id": f"recorder:{boot_id}:{event.number}",
        "risk_level": _RISKS.get(event.level, RiskLevel.NORMAL).name,
        "outcome": PASS,
        "was_clamped": False,
        "was_rejected": False,
        "fallback_triggered": None,
        "guard_results": [],
        "latency_ms": {},
        "perf": {"stages": {}, "layers": {}, "guards": {}, "deadline_ms": 0.0, "slack_ms": 0.0},
        "mcap_filename": None,
        "failure_type": RECORDER,
        "failure_guard_names": [],
        "failure_layers": [],
        "failure_decisions": [],
        "failure_reasons": [event.text],
        "failure_tuple": None,
        "observation": {"joint_names": [], "unit": "", "joint_positions": []},
        "action": {"joint_names": [], "unit": "", "proposed": [], "executed": [], "age_s": 0.0},
        "hardware": None,
        "arm": arm,
        "session_id": "",
        "state": "",
        "reason": event.text,
        "active_task": None,
        "active_boundaries": [],
        "enforcement": "",
        "config_version": 0,
        "epoch": 0,
        "steady_ns": 0,
        "recording": event.session_id or None,
    }
