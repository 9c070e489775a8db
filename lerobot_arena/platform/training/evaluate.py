# SPDX-License-Identifier: Apache-2.0
"""Success on seeds, without ROS but with what the real loop does to a policy.

Chunks arrive late and are joined in mid-motion, steps are resampled from the policy's rate to the control rate, and
velocity is bounded. The whole stack is measured by bench/demo.py.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf, sqrt
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import SessionWanted
from lerobot_arena.core.units import NORMALIZED
from lerobot_arena.embodiment.simulation.expert import Expert
from lerobot_arena.embodiment.simulation.render import Renderer
from lerobot_arena.embodiment.simulation.scene import Scene
from lerobot_arena.embodiment.simulation.task import PickPlaceTask, TaskRules
from lerobot_arena.platform.training.demonstration import CAMERA, FPS, camera_of

GREY = 128


@dataclass(frozen=True, slots=True)
class LoopRules:
    """The emulated loop: control rate, how old an observation is when its chunk takes over, how often one is asked."""

    control_rate_hz: float = 50.0
    delay_s: float = 0.08
    replan_s: float = 0.5
    time_limit_s: float = 20.0


class Driver(Protocol):
    """Something that moves the arm: a policy, the expert, a recording."""

    replans: bool

    def chunk(self, scene: Scene, look: Callable[[], NDArray[np.uint8]]) -> FloatArray:
        """Targets H×D in radians, FPS of them a second, from this moment on. `look` takes a 480×640×3 picture."""


class ExpertDriver:
    """The scripted expert, which sees the objects themselves."""

    replans = False

    def __init__(self, robot: RobotSpec, scene: Scene) -> None:
        self._expert = Expert(robot, scene.model, dt_s=1 / FPS)

    def chunk(self, scene: Scene, look: Callable[[], NDArray[np.uint8]]) -> FloatArray:
        """The whole plan."""
        return self._expert.plan(scene.objects(), scene.targets()).targets_rad


class ReplayDriver:
    """A recorded episode played back blindly."""

    replans = False

    def __init__(self, actions_rad: FloatArray) -> None:
        self._actions_rad = actions_rad

    def chunk(self, scene: Scene, look: Callable[[], NDArray[np.uint8]]) -> FloatArray:
        """The recording."""
        return self._actions_rad


class PolicyDriver:
    """An exported policy; `covered` puts a grey picture before its camera."""

    replans = True

    def __init__(self, folder: Path, robot: RobotSpec, *, threads: int = 1, covered: bool = False) -> None:
        """Raises PolicyError when the folder holds no policy for this robot."""
        from lerobot_arena.inference.inspect import inspect_policy
        from lerobot_arena.inference.policies.onnx_policy import OnnxModel
        from lerobot_arena.inference.policies.protocol import LoadOptions

        self._robot = robot
        wanted = SessionWanted("evaluation", "arm", str(folder), camera_names=(CAMERA,))
        manifest = inspect_policy(str(folder), wanted=wanted, robot=robot)
        self._policy = OnnxModel(manifest, LoadOptions(threads=threads)).open()
        self._covered = covered

    def chunk(self, scene: Scene, look: Callable[[], NDArray[np.uint8]]) -> FloatArray:
        """What the policy answers to this picture and these joints."""
        from lerobot_arena.inference.policies.protocol import PolicyInput

        picture = look()
        if self._covered:
            picture = np.full_like(picture, GREY)
        state = self._robot.from_radians(scene.joint_positions(), NORMALIZED)
        return self._robot.to_radians(self._policy.infer([PolicyInput(state, {CAMERA: picture})]), NORMALIZED)


class Loop:
    """One emulated robot side, reused over episodes."""

    def __init__(self, robot: RobotSpec, *, rules: LoopRules | None = None) -> None:
        self.rules = rules or LoopRules()
        self.scene = Scene(robot)
        self._renderer = Renderer(self.scene.model, [camera_of(robot)])
        self._max_velocity = robot.limits().max_velocity

    def run(self, driver: Driver, seed: int) -> bool:
        """One episode; whether the cube ended up in the tray."""
        self.scene.reset(seed)
        referee = PickPlaceTask(TaskRules(time_limit_s=self.rules.time_limit_s))
        tick_s = 1 / self.rules.control_rate_hz
        chunk, seen_s = driver.chunk(self.scene, self._look), self.scene.time_s
        pending: tuple[FloatArray, float] | None = None
        ask_s = seen_s + self.rules.replan_s if driver.replans else inf
        while not (status := referee.update(self.scene.objects(), self.scene.time_s)).is_over:
            now_s = self.scene.time_s
            if now_s >= ask_s:
                pending, ask_s = (driver.chunk(self.scene, self._look), now_s), now_s + self.rules.replan_s
            if pending and now_s - pending[1] >= self.rules.delay_s:
                (chunk, seen_s), pending = pending, None
            self._move(chunk, now_s - seen_s, tick_s)
        return status.is_success

    def _move(self, chunk: FloatArray, age_s: float, tick_s: float) -> None:
        wanted = at(chunk, age_s * FPS)
        present = self.scene.targets()
        step = wanted - present
        # The whole step is scaled along its own path, as the guard does.
        excess = float((np.abs(step) / (self._max_velocity * tick_s)).max())
        self.scene.step(present + step / max(excess, 1.0), tick_s)

    def _look(self) -> NDArray[np.uint8]:
        return self._renderer.render(self.scene.snapshot(), CAMERA)

    def close(self) -> None:
        """Free the OpenGL context."""
        self._renderer.close()


def at(chunk: FloatArray, step: float) -> FloatArray:
    """The chunk at a fraction of a step, linear between steps, held after its end."""
    position = min(max(step, 0.0), len(chunk) - 1)
    lower = int(position)
    upper = min(lower + 1, len(chunk) - 1)
    return chunk[lower] + (position - lower) * (chunk[upper] - chunk[lower])


@dataclass(frozen=True, slots=True)
class Success:
    """k of n, with its 95 % Wilson score interval."""

    successes: int
    episodes: int

    @property
    def rate(self) -> float:
        return self.successes / max(self.episodes, 1)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson (1927), z = 1.96."""
        z, n = 1.96, max(self.episodes, 1)
        centre = self.rate + z * z / (2 * n)
        half = z * sqrt(self.rate * (1 - self.rate) / n + z * z / (4 * n * n))
        return max((centre - half) / (1 + z * z / n), 0.0), min((centre + half) / (1 + z * z / n), 1.0)

    def as_json(self) -> dict[str, Any]:
        """For a manifest."""
        return {
            "successes": self.successes,
            "episodes": self.episodes,
            "rate": round(self.rate, 4),
            "interval_95": [round(bound, 4) for bound in self.interval],
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.successes}/{self.episodes} ({self.rate:.1%}, 95 % interval {low:.1%} to {high:.1%})"


def count(results: Iterable[bool]) -> Success:
    """Successes among results."""
    outcomes = list(results)
    return Success(sum(outcomes), len(outcomes))
