# SPDX-License-Identifier: Apache-2.0
"""A cycle as the risk log keeps it: DAM's event, of a live cycle as of one read again from a recording. Pure."""

from collections.abc import Sequence
from typing import Any

from lerobot_arena.bridge.cycle_event import latency_of, perf_of, trace_id_of
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.session import PAUSED, RUNNING
from lerobot_arena.core.verdict import Decision, Verdict

REJECT, CLAMP, PASS = "reject", "clamp", "pass"
OUTCOMES = (REJECT, CLAMP, PASS)
HARDWARE_TRIGGERED, OOD_ONLY, GUARD_TRIGGERED = "hardware_triggered", "ood_only", "guard_triggered"
RECORDER = "recorder"
FAILURE_TYPES = (HARDWARE_TRIGGERED, OOD_ONLY, GUARD_TRIGGERED, RECORDER)
FAILURE_SCHEMA = "dam.failure_tuple.v1"


def outcome_of(decision: Decision) -> str:
    """reject, clamp or pass, from the decision and not from what was sent; a FAULT counts as reject."""
    if decision >= Decision.REJECT:
        return REJECT
    return CLAMP if decision == Decision.CLAMP else PASS


def objections(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Those that made the cycle what it is: every refusal, or without one every change and warning."""
    refusals = tuple(verdict for verdict in verdicts if verdict.decision >= Decision.REJECT)
    return refusals or tuple(verdict for verdict in verdicts if verdict.decision == Decision.CLAMP)


def failure_type(verdicts: Sequence[Verdict]) -> str | None:
    """hardware_triggered with any objection of L3, ood_only with none but L0's, else guard_triggered."""
    layers = {verdict.layer for verdict in objections(verdicts)}
    if not layers:
        return None
    if "L3" in layers:
        return HARDWARE_TRIGGERED
    return OOD_ONLY if layers == {"L0"} else GUARD_TRIGGERED


class News:
    """Which notable cycles are kept: while nothing runs, an objection that repeats itself (a sensor is off) once."""

    def __init__(self) -> None:
        self._idle: dict[str, tuple[Any, ...]] = {}

    def holds(self, arm: str, record: CycleRecord) -> bool:
        """Whether this one is kept; call it with every notable cycle of an arm, in order."""
        if record.state in {RUNNING, PAUSED}:
            self._idle.pop(arm, None)
            return True
        objected = tuple((v.check, v.decision) for v in record.verdicts if v.decision != Decision.PASS)
        said = (record.state, record.risk, record.decision, objected)
        is_news = self._idle.get(arm) != said
        self._idle[arm] = said
        return is_news


def risk_event(record: CycleRecord, arm: str, *, mcap_filename: str | None = None) -> dict[str, Any]:
    """The event without its event_id, which whoever keeps it gives."""
    outcome, failed = outcome_of(record.decision), objections(record.verdicts)
    failure = {
        "failure_type": failure_type(record.verdicts),
        "failure_guard_names": [verdict.check for verdict in failed],
        "failure_layers": sorted({verdict.layer for verdict in failed}),
        "failure_decisions": [verdict.decision.name for verdict in failed],
        "failure_reasons": [verdict.reason for verdict in failed],
    }
    return {
        "timestamp": record.stamp_ns / 1e9,
        "cycle_id": record.cycle_id,
        "trace_id": f"mcap:{mcap_filename}:{record.cycle_id}" if mcap_filename else trace_id_of(record),
        "risk_level": record.risk.name,
        "outcome": outcome,
        "was_clamped": outcome == CLAMP,
        "was_rejected": outcome == REJECT,
        "fallback_triggered": record.reaction or None,
        "guard_results": [_result(verdict) for verdict in record.verdicts],
        "latency_ms": latency_of(record),
        "perf": perf_of(record),
        "mcap_filename": mcap_filename,
        **failure,
        "failure_tuple": {"schema": FAILURE_SCHEMA, **failure} if failed else None,
        "observation": {
            "joint_names": list(record.joint_names),
            "unit": record.unit,
            "joint_positions": list(record.measured),
        },
        "action": {
            "joint_names": list(record.joint_names),
            "unit": record.unit,
            "proposed": list(record.proposed),
            "executed": list(record.executed),
            "age_s": record.action_age_s,
        },
        "hardware": None,
        "arm": arm,
        "session_id": record.session_id,
        "state": record.state,
        "reason": record.reason,
        "active_task": record.task or None,
        "active_boundaries": list(record.active_boundaries),
        "enforcement": record.enforcement,
        "config_version": record.config_version,
        "epoch": record.epoch,
        "steady_ns": record.steady_ns,
    }


def _result(verdict: Verdict) -> dict[str, Any]:
    return {
        "name": verdict.check,
        "layer": verdict.layer,
        "decision": verdict.decision.name,
        "reason": verdict.reason,
        "latency_ms": verdict.latency_ms,
        "metadata": {},
    }
