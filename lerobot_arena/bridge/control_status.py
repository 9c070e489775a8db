# SPDX-License-Identifier: Apache-2.0
"""The control status of one arm: the fields DAM clients know, and the guard's own. Pure."""

from typing import Any

from lerobot_arena.bridge.answers import stages_of
from lerobot_arena.bridge.board import ArmFacts
from lerobot_arena.bridge.session_view import estop_reason
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import DEFAULT_TASK, GuardConfig, RunWanted
from lerobot_arena.core.reaction import ENFORCE
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import (
    EMERGENCY,
    IDLE,
    PAUSED,
    RUNNING,
    STOPPED,
    EmbodimentStatus,
    GuardState,
)
from lerobot_arena.guard.task import task_from_json


def enforcement_warning(enforcement: str) -> str | None:
    """What a person has to know before standing near the arm; None when the guard guards."""
    if enforcement == ENFORCE:
        return None
    return (
        f"THE GUARD DOES NOT GUARD THIS ARM: enforcement mode {enforcement!r} lets every action through that is finite "
        "and of the right shape. Only the e-stop still works. Restart the guard with enforcement_mode enforce."
    )


def control_status(
    arm: str, facts: ArmFacts, *, is_alive: bool, config: GuardConfig, run: RunWanted
) -> dict[str, Any]:
    """`is_alive`: the guard reports; `config` and `run`: what the next start would mean."""
    guard = facts.guard.value if facts.guard is not None else None
    embodiment = facts.embodiment.value if facts.embodiment is not None else None
    known = guard if guard is not None else GuardState(arm)
    state = shown_state(guard, embodiment, is_alive=is_alive)
    is_under_way = state in {RUNNING, PAUSED}
    reason = estop_reason(guard, embodiment, arm)
    message = known.message or reason or ""
    if not is_alive:
        message = f"The guard of arm {arm!r} does not report; the arm holds. {message}".strip()
    planned = (known.task if is_under_way else run.task) or DEFAULT_TASK
    return {
        "state": state,
        "backend_state": _backend_state(embodiment, is_guard_alive=is_alive),
        "cycle_count": known.cycle_count,
        "error": message or None,
        "startup_error": None,
        "has_runtime": guard is not None and is_alive,
        "active_task": (known.task or DEFAULT_TASK) if is_under_way else None,
        "active_boundaries": list(known.active_boundaries) if is_under_way else [],
        "control_frequency_hz": known.control_rate_hz,
        "available_tasks": [item.name for item in config.tasks],
        "planned_task": planned,
        "planned_boundaries": _planned_boundaries(config, planned, is_virtual=embodiment is None),
        "has_rust": False,
        "arm": arm,
        "is_alive": is_alive,
        "estop_latched": reason is not None,
        "message": message,
        "task": known.task or None,
        "enforcement_mode": known.enforcement,
        "warning": enforcement_warning(known.enforcement),
        "risk_level": (RiskLevel.EMERGENCY if state == EMERGENCY else known.risk).name,
        "reaction": known.reaction or None,
        "reset_refusals": list(known.reset_refusals),
        "config_version": known.config_version,
        "config_problem": known.config_problem or None,
        **_counters(known),
    }


def shown_state(guard: GuardState | None, embodiment: EmbodimentStatus | None, *, is_alive: bool) -> str:
    """idle, running, paused, stopped or emergency."""
    if (guard is not None and guard.estop_latched) or (embodiment is not None and embodiment.is_stopped):
        return EMERGENCY
    if guard is None:
        return IDLE
    # A guard that died while running runs no more.
    return STOPPED if guard.state in {RUNNING, PAUSED} and not is_alive else guard.state


def _backend_state(embodiment: EmbodimentStatus | None, *, is_guard_alive: bool) -> str:
    if embodiment is not None and embodiment.is_stopped:
        return "faulted"
    if embodiment is not None and not embodiment.is_connected:
        return "error"
    return "ready" if is_guard_alive else "loading"


def _planned_boundaries(config: GuardConfig, task: str, *, is_virtual: bool) -> list[str]:
    item = next((item for item in config.tasks if item.name == task), None)
    if item is None:
        return []
    try:
        return list(task_from_json(item.config).boundaries_of(is_virtual=is_virtual))
    except InvalidInput:
        return []


def _counters(known: GuardState) -> dict[str, Any]:
    return {
        "session_id": known.session_id or None,
        "epoch": known.epoch,
        "unit": known.unit,
        "not_ready": list(known.not_ready),
        "sink": known.sink,
        "late_cycles": known.late_cycles,
        "commands_sent": known.commands_sent,
        "decisions": list(known.decisions),
        "holds": known.holds,
        "chunks_received": known.chunks_received,
        "chunks_dropped": known.chunks_dropped,
        "queue_steps": known.queue_steps,
        "queue_capacity": known.queue_capacity,
        "action_age_s": known.action_age_s,
        "joint_age_s": known.joint_age_s,
        "stages": stages_of(known.stages),
    }
