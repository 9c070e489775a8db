# SPDX-License-Identifier: Apache-2.0
"""A cycle as the telemetry socket sends it: seed 3's event, with what this package knows beyond it. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.session import EMERGENCY, PAUSED, RUNNING, TaskStatus
from lerobot_arena.core.verdict import Decision, Outcome

# Our stage → the seed's name in `latency_ms`, and in `perf.stages`. What the policy cost is the queue's share here:
# the network computes in another process, beside the cycle.
_LATENCY = {"source": "obs", "queue": "policy", "checks": "validate", "sink": "sink", "total": "total"}
_PERF = {"source": "source", "queue": "policy", "checks": "guards", "sink": "sink", "total": "total"}
_RISK = {
    Decision.PASS: "NORMAL",
    Decision.CLAMP: "ELEVATED",
    Decision.REJECT: "CRITICAL",
    Decision.FAULT: "EMERGENCY",
}


def risk_level(record: CycleRecord) -> str:
    """NORMAL, ELEVATED, CRITICAL or EMERGENCY, from this cycle alone."""
    if record.state == EMERGENCY:
        return "EMERGENCY"
    return _RISK[record.decision] if record.state in {RUNNING, PAUSED} else "NORMAL"


def _trace_id(record: CycleRecord) -> str:
    return str(UUID(int=(record.epoch % 2**64) << 64 | record.cycle_id % 2**64))


def _perf(record: CycleRecord, stage_ms: dict[str, float]) -> dict[str, Any]:
    layers: dict[str, float] = {}
    for verdict in record.verdicts:
        layers[verdict.layer] = layers.get(verdict.layer, 0.0) + verdict.latency_ms
    return {
        "stages": {_PERF[name]: ms for name, ms in stage_ms.items() if name in _PERF},
        "layers": dict(sorted(layers.items())),
        "guards": {verdict.check: verdict.latency_ms for verdict in record.verdicts},
        "deadline_ms": record.deadline_ms,
        "slack_ms": record.deadline_ms - stage_ms.get("total", 0.0),
    }


def cycle_event(
    record: CycleRecord, arm: str, *, cameras: Sequence[str] = (), task: TaskStatus | None = None
) -> dict[str, Any]:
    """One event; arrays of joint values are in `joints.unit` and empty where the cycle had none."""
    stage_ms = {stage.name: stage.p50_ms for stage in record.stages}
    held = record.outcome == Outcome.HELD
    return {
        "type": "cycle",
        "cycle_id": record.cycle_id,
        "trace_id": _trace_id(record),
        "was_rejected": record.decision >= Decision.REJECT,
        "was_clamped": record.decision == Decision.CLAMP,
        "risk_level": risk_level(record),
        "fallback_triggered": "hold_position" if held else None,
        "latency_ms": {_LATENCY[name]: ms for name, ms in stage_ms.items() if name in _LATENCY},
        "guard_statuses": [
            {"name": v.check, "layer": v.layer, "decision": v.decision.name, "reason": v.reason}
            for v in record.verdicts
        ],
        "active_task": (task.task if task is not None else None) or record.session_id or None,
        "active_boundaries": [],
        "active_cameras": list(cameras),
        "timestamp": record.stamp_ns / 1e9,
        "perf": _perf(record, stage_ms),
        "arm": arm,
        "state": record.state,
        "session_id": record.session_id,
        "decision": record.decision.name,
        "outcome": record.outcome.name.lower(),
        "reason": record.reason,
        "late": record.late,
        "queue_steps": record.queue_steps,
        "action_age_s": record.action_age_s,
        "joints": {
            "names": list(record.joint_names),
            "unit": record.unit,
            "measured": list(record.measured),
            "proposed": list(record.proposed),
            "executed": list(record.executed),
        },
        "task": asdict(task) if task is not None else None,
    }
