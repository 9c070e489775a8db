# SPDX-License-Identifier: Apache-2.0
"""`instance.mujoco.onnx`: a policy drives a robot in MuJoCo, here without a browser.

The same loop as the run page's, from the same ControlSpec; docs/contract.md spells it out and a golden test holds both
to one trajectory. Foreign files belong into a child process: this class opens them.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lerobot_arena.core.errors import PolicyFailed
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog import network
from lerobot_arena.platform.catalog.body import Body, compile_model
from lerobot_arena.platform.catalog.control_spec import COMMANDS, ControlSpec, Term


@dataclass(frozen=True, slots=True)
class RunState:
    """Where the robot is; metres, seconds, quaternion w, x, y, z. `fell` stays true until a reset.

    `real_time_factor` is simulated over computing time since the reset, above 1 when faster than real time.
    """

    time_s: float
    base_pos: tuple[float, ...]
    base_quat: tuple[float, ...]
    distance_m: float
    fell: bool
    command: tuple[float, ...]
    real_time_factor: float


class Runner:
    """One policy on one robot. Not for several threads."""

    def __init__(self, entry: Path, model: Path, spec: ControlSpec, *, threads: int = 1) -> None:
        """Open both files. Raises InvalidInput when they do not fit the spec."""
        self.spec = spec
        self.body = Body(compile_model(entry), spec)
        self._session = network.open_session(model, threads=threads)
        self._network = network.describe(self._session)
        spec.check_network(self._network.input_width, self._network.output_width)
        self._scale, self._offset = np.array(spec.action_scale), np.array(spec.action_offset)
        self._clip = None if spec.action_clip is None else np.array(spec.action_clip).T
        self._command: FloatArray = np.zeros(3)
        self._readings = _readings(self)
        self.reset()

    def reset(self) -> None:
        """Back to the start, with empty histories and the command as it is."""
        self.body.reset()
        self.last_action = np.zeros(len(self.spec.joint_names))
        self.observation = np.zeros(0, np.float32)
        self._histories: list[np.ndarray] = []
        self._ticks, self._computing_s, self._fell = 0, 0.0, False
        self._start = self.body.base_pose()[0]

    def command(self, lin_vel_x: float, lin_vel_y: float = 0.0, ang_vel_z: float = 0.0) -> None:
        """What the robot shall do from the next tick on, m/s and rad/s, clamped to the policy's ranges."""
        asked = zip(COMMANDS, (lin_vel_x, lin_vel_y, ang_vel_z), strict=True)
        self._command = np.array([min(max(value, self.spec.commands[name][0]), self.spec.commands[name][1])
                                  for name, value in asked])  # fmt: skip

    def step(self, ticks: int = 1) -> RunState:
        """Advance `ticks` control periods. Raises PolicyFailed when policy or simulation are no longer finite."""
        started = time.perf_counter()
        try:
            for _ in range(ticks):
                self._tick()
        finally:
            self._computing_s += time.perf_counter() - started
        return self.state()

    def state(self) -> RunState:
        """Where things stand after the last step."""
        position, quaternion = self.body.base_pose()
        moved = math.hypot(*(position - self._start)[:2])
        simulated_s = self._ticks * self.spec.control_dt
        return RunState(
            simulated_s,
            tuple(map(float, position)),
            tuple(map(float, quaternion)),
            moved,
            self._fell,
            tuple(map(float, self._command)),
            simulated_s / self._computing_s if self._computing_s else 0.0,
        )

    def _tick(self) -> None:
        self.observation = self._observe()
        raw = network.ask(self._session, self._network, self.observation).astype(np.float64)
        if not np.isfinite(raw).all():
            raise PolicyFailed(
                f"The policy's actions are not finite after {self._ticks * self.spec.control_dt:.2f} s."
            )
        self.last_action = raw
        target = raw * self._scale + self._offset
        self.body.drive(target if self._clip is None else np.clip(target, *self._clip))
        self._ticks += 1
        self._fell = self._fell or self._has_fallen()

    def _observe(self) -> np.ndarray:
        """float32, each term's history oldest first; the first observation after a reset fills all histories."""
        fresh = [self._reading(term) for term in self.spec.observations]
        if not self._histories:
            self._histories = [
                np.tile(r, (t.history_length, 1)) for r, t in zip(fresh, self.spec.observations)
            ]
        for history, reading in zip(self._histories, fresh):
            history[:-1] = history[1:]
            history[-1] = reading
        return np.concatenate([history.ravel() for history in self._histories])

    def _reading(self, term: Term) -> np.ndarray:
        raw = self._readings[term.name](term.params)
        clipped = raw if term.clip is None else np.clip(raw, *term.clip)
        return np.asarray(clipped * np.asarray(term.scale), np.float32)

    def gait_phase(self, params: Mapping[str, float]) -> FloatArray:
        """Sine and cosine of the simulation's time in periods."""
        angle = 2.0 * math.pi * self.body.data.time / params["period"]
        return np.array([math.sin(angle), math.cos(angle)])

    @property
    def commanded(self) -> FloatArray:
        """vx, vy, wz."""
        return self._command

    def _has_fallen(self) -> bool:
        if self.body.base is None:
            return False
        rule = self.spec.fell
        if rule.min_height is not None and float(self.body.base_pose()[0][2]) < rule.min_height:
            return True
        upright = -float(self.body.projected_gravity()[2])
        tilt_deg = math.degrees(math.acos(max(-1.0, min(1.0, upright))))
        return rule.max_tilt_deg is not None and tilt_deg > rule.max_tilt_deg


def _readings(runner: Runner) -> dict[str, Callable[[Mapping[str, float]], FloatArray]]:
    """Each of terms.TERMS, raw."""
    body = runner.body
    return {
        "base_lin_vel": lambda _: body.base_lin_vel(),
        "base_ang_vel": lambda _: body.base_ang_vel(),
        "projected_gravity": lambda _: body.projected_gravity(),
        "joint_pos": lambda _: body.joint_pos(),
        "joint_pos_rel": lambda _: body.joint_pos(),
        "joint_vel": lambda _: body.joint_vel(),
        "joint_vel_rel": lambda _: body.joint_vel(),
        "actions": lambda _: runner.last_action,
        "last_action": lambda _: runner.last_action,
        "command": lambda _: runner.commanded,
        "velocity_commands": lambda _: runner.commanded,
        "gait_phase": runner.gait_phase,
    }
