# SPDX-License-Identifier: Apache-2.0
"""A cycle as the telemetry socket sends it: seed 3's event, with what this package knows beyond it. Pure."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.session import TaskStatus
from lerobot_arena.core.verdict import Decision

# Our stage → the seed's name in `latency_ms`, and in `perf.stages`. What the policy cost is the queue's share here:
# the network computes in another process, beside the cycle.
_LATENCY = {"source": "obs", "queue": "policy", "checks": "validate", "sink": "sink", "total": "total"}
_PERF = {"source": "source", "queue": "policy", "checks": "guards", "sink": "sink", "total": "total"}


def trace_id_of(record: CycleRecord) -> str:
    """A UUID of epoch and cycle, so that every reader of the same cycle finds the same one."""
    return str(UUID(int=(record.epoch % 2**64) << 64 | record.cycle_id % 2**64))


def latency_of(record: CycleRecord) -> dict[str, float]:
    """The seed's `latency_ms`."""
    return {_LATENCY[stage.name]: stage.p50_ms for stage in record.stages if stage.name in _LATENCY}


def perf_of(record: CycleRecord) -> dict[str, Any]:
    """The seed's `perf`."""
    stages = {_PERF[stage.name]: stage.p50_ms for stage in record.stages if stage.name in _PERF}
    layers: dict[str, float] = {}
    for verdict in record.verdicts:
        layers[verdict.layer] = layers.get(verdict.layer, 0.0) + verdict.latency_ms
    return {
        "stages": stages,
        "layers": dict(sorted(layers.items())),
        "guards": {verdict.check: verdict.latency_ms for verdict in record.verdicts},
        "deadline_ms": record.deadline_ms,
        "slack_ms": record.deadline_ms - stages.get("total", 0.0),
    }


def cycle_event(
    record: CycleRecord,
    arm: str,
    *,
    cameras: Sequence[str] = (),
    task: TaskStatus | None = None,
    with_perf: bool = False,
) -> dict[str, Any]:
    """One event; arrays of joint values are in `joints.unit` and empty where the cycle had none.

    `task` is the simulator's referee; the guard's own task is `active_task`.
    """
    event = {
        "type": "cycle",
        "cycle_id": record.cycle_id,
        "trace_id": trace_id_of(record),
        "was_rejected": record.decision >= Decision.REJECT,
        "was_clamped": record.decision == Decision.CLAMP,
        "risk_level": record.risk.name,
        "fallback_triggered": record.reaction or None,
        "latency_ms": latency_of(record),
        "guard_statuses": [
            {"name": v.check, "layer": v.layer, "decision": v.decision.name, "reason": v.reason}
            for v in record.verdicts
        ],
        "active_task": record.task or None,
        "active_boundaries": list(record.active_boundaries),
        "active_cameras": list(cameras),
        "timestamp": record.stamp_ns / 1e9,
        "arm": arm,
        "state": record.state,
        "session_id": record.session_id,
        "decision": record.decision.name,
        "outcome": record.outcome.name.lower(),
        "reason": record.reason,
        "enforcement": record.enforcement,
        "config_version": record.config_version,
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
    return {**event, "perf": perf_of(record)} if with_perf else event
