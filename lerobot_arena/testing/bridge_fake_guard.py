# SPDX-License-Identifier: Apache-2.0
"""Verbs of a guard that behaves: from one GuardState to the next, and what it answers."""

from dataclasses import replace

from lerobot_arena.bridge.ports import VerbAnswer
from lerobot_arena.core.guard_config import DEFAULT_TASK, RunWanted
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED, GuardState
from lerobot_arena.testing.bridge_fake_values import PERIOD_S

Answered = tuple[GuardState, VerbAnswer]


def start(guard: GuardState, run: RunWanted, refusal: str | None) -> Answered:
    """Begin a run as it is wanted; a second start of the same run is answered well."""
    if guard.estop_latched:
        return guard, VerbAnswer(False, "The e-stop is latched.")
    if not guard.session_id:
        return guard, VerbAnswer(False, "No session is selected.")
    if refusal is not None:
        return guard, VerbAnswer(False, refusal)
    if guard.state == RUNNING:
        return guard, VerbAnswer(True, "It is already running.")
    if guard.state == PAUSED:
        return guard, VerbAnswer(False, "This arm is paused: resume it, or stop it first.")
    started = replace(
        guard,
        state=RUNNING,
        epoch=guard.epoch + 1,
        message="",
        queue_steps=0,
        task=run.task or DEFAULT_TASK,
        control_rate_hz=1 / (run.cycle_budget_ms / 1000 or PERIOD_S),
    )
    return started, VerbAnswer(True, "Running.")


def pause(guard: GuardState) -> Answered:
    """Only a running arm."""
    if guard.state != RUNNING:
        return guard, VerbAnswer(False, f"Only a running arm can be paused; this one is {guard.state}.")
    return replace(guard, state=PAUSED, message="Paused.", queue_steps=0), VerbAnswer(True, "Paused.")


def resume(guard: GuardState, refusal: str | None) -> Answered:
    """Only a paused arm, with a new epoch."""
    if guard.state != PAUSED:
        return guard, VerbAnswer(False, f"Only a paused arm can be resumed; this one is {guard.state}.")
    if refusal is not None:
        return guard, VerbAnswer(False, refusal)
    return replace(guard, state=RUNNING, epoch=guard.epoch + 1, message=""), VerbAnswer(True, "Running.")


def stop(guard: GuardState) -> Answered:
    """End what runs; nothing else changes."""
    if guard.state in {RUNNING, PAUSED}:
        guard = replace(guard, state=STOPPED, message="", queue_steps=0)
    return guard, VerbAnswer(True, "Stopped.")


def estop(guard: GuardState) -> Answered:
    """Latch from anywhere."""
    latched = replace(
        guard,
        state=EMERGENCY,
        estop_latched=True,
        message="The e-stop was pressed (service).",
        queue_steps=0,
        risk=RiskLevel.EMERGENCY,
    )
    return latched, VerbAnswer(True, "The e-stop is latched.")


def reset(guard: GuardState, causes: tuple[str, ...]) -> Answered:
    """To idle, unless it runs or a cause persists."""
    if guard.state in {RUNNING, PAUSED}:
        return guard, VerbAnswer(False, "The e-stop is not latched: there is nothing to reset.")
    if guard.estop_latched and causes:
        return guard, VerbAnswer(False, " ".join(causes))
    released = replace(
        guard, state=IDLE, estop_latched=False, message="Stopped by the e-stop.", risk=RiskLevel.NORMAL
    )
    return released, VerbAnswer(True, "The e-stop is reset.")
