# SPDX-License-Identifier: Apache-2.0
"""What a well-behaved robot side would say: one cycle, one session's status, one picture."""

from math import sin

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.clock import Clock
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD, NONE
from lerobot_arena.core.risk import RiskLevel
from lerobot_arena.core.session import RUNNING, GuardState, SessionStatus, SessionWanted
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Decision, Outcome, Verdict

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
PERIOD_S = 0.02
CHUNK = 50
_STAGE_MS = (("source", 0.05), ("queue", 0.04), ("checks", 0.2), ("sink", 0.1), ("total", 0.4))


def fake_session_status(
    wanted: SessionWanted,
    status: str,
    message: str,
    *,
    is_loaded: bool,
    inferences: int,
    inputs: int,
    input_idle_s: float,
) -> SessionStatus:
    """What inference reports of a session that got `inputs` messages of each kind."""
    return SessionStatus(
        wanted.session_id,
        status,
        message,
        is_loaded,
        policy_type="act",
        device="cpu",
        joint_names=JOINTS,
        unit=wanted.unit or "normalized",
        fps=wanted.rate_hz or 30.0,
        chunk_size=CHUNK,
        n_action_steps=10,
        camera_names=wanted.camera_names,
        metadata_sources=("unit: checkpoint", "fps: checkpoint"),
        policy_hash="00",
        inference_count=inferences,
        total_inference_time_s=inferences * 0.004,
        images_received=tuple(inputs for _ in wanted.camera_names),
        images_lost=tuple(0 for _ in wanted.camera_names),
        joints_received=inputs,
        input_idle_s=input_idle_s,
        stages=(StageStat("network", inferences, 3.9, 4.4, 5.1, 6.0),) if inferences else (),
    )


def fake_cycle(
    guard: GuardState, cycle_id: int, decision: Decision, *, layer: str, risk: RiskLevel, clock: Clock
) -> CycleRecord:
    """One tick of a guard in which one check on `layer` decided."""
    is_running, is_held = guard.state == RUNNING, decision >= Decision.REJECT
    values = tuple(0.5 * sin(cycle_id * PERIOD_S + index) for index in range(len(JOINTS)))
    reason = "" if decision == Decision.PASS else "a joint would have left its range"
    verdicts = (
        Verdict(Decision.PASS, "L3", "joint_age", "", 0.01),
        Verdict(decision, layer, "position_limits", reason, 0.02),
    )
    return CycleRecord(
        cycle_id,
        decision,
        (Outcome.HELD if is_held else Outcome.SENT) if is_running else Outcome.NONE,
        clock.wall_ns(),
        guard.state,
        guard.unit,
        JOINTS,
        risk=risk,
        steady_ns=clock.steady_ns(),
        epoch=guard.epoch,
        session_id=guard.session_id,
        reason=reason,
        reaction=EMERGENCY_STOP if guard.estop_latched else HOLD if is_held else NONE,
        enforcement=guard.enforcement,
        task=guard.task if is_running else "",
        active_boundaries=guard.active_boundaries if is_running else (),
        config_version=guard.config_version,
        measured=values,
        proposed=tuple(value + 0.02 for value in values) if is_running else (),
        executed=tuple(value + 0.015 for value in values) if is_running and not is_held else (),
        queue_steps=guard.queue_steps,
        action_age_s=guard.action_age_s,
        verdicts=verdicts if is_running or decision != Decision.PASS else (),
        stages=tuple(StageStat(name, 1, ms, ms, ms, ms) for name, ms in _STAGE_MS),
        deadline_ms=PERIOD_S * 1000,
    )


def moving_picture(step: int, shade: int) -> NDArray[np.uint8]:
    """A 480×640 gradient with a square that moves."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = np.linspace(40, 160, 640, dtype=np.uint8)
    image[..., 1] = np.linspace(60, 140, 480, dtype=np.uint8)[:, None]
    image[..., 2] = 90 + 60 * (shade % 2)
    x = 20 + (step * 6) % 560
    image[200:260, x : x + 60] = (240, 180, 60)
    return image
