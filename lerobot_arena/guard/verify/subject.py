# SPDX-License-Identifier: Apache-2.0
"""What is verified: a robot file, the guard's parameters, boundaries and tasks, as a user has them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lerobot_arena.core.clock import NS, ManualClock
from lerobot_arena.core.errors import ArenaError, InvalidInput
from lerobot_arena.core.guard_config import DEFAULT_TASK, BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.robot import RobotSpec
from lerobot_arena.core.session import EmbodimentStatus
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.knowledge import ArmModel
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.robot_model import geometry_of
from lerobot_arena.guard.verify.world import GuardWorld, Policy

_POSTURES_TRIED = 150
_STEPS = 30
# A motion that no sensible configuration objects to: these shares of the first joints' ranges, within a second.
_SWAY = (0.04, 0.02)
HEALTHY_HOST = HostHealth(20.0, 40.0, 45.0, 50_000_000_000)
HEALTHY_ARM = EmbodimentStatus("arm", "verify", is_connected=True, command_timeout_s=0.5)


def model_of(robot: RobotSpec) -> ArmModel:
    """The arm's shape, or why there is none."""
    try:
        return ArmModel(geometry_of(robot))
    except ArenaError as error:
        return ArmModel(None, str(error))


def healthy_hardware(robot: RobotSpec, boundaries: Sequence[Boundary]) -> HardwareReading:
    """Readings that these boundaries do not object to."""
    values = {"temperature": 30.0, "current": 0.1, "voltage": 12.0}
    for node in (node for boundary in boundaries for node in boundary.nodes if node.callback in values):
        if node.callback == "voltage":
            low, high = node.params.get("warn_below_v", 11.0), node.params.get("warn_above_v", 12.8)
            values["voltage"] = (low + high) / 2
        for key, level in node.params.items():
            if key.startswith(("warn_", "max_")) and key != "max_age_s" and node.callback != "voltage":
                values[node.callback] = min(values[node.callback], 0.5 * level)
    count = len(robot.joints)
    return HardwareReading(
        0,
        robot.joint_names,
        (values["temperature"],) * count,
        (values["current"],) * count,
        (values["voltage"],) * count,
        force_n=(0.0,) * 3,
        torque_nm=(0.0,) * 3,
    )


def healthy_scores(robot: RobotSpec) -> tuple[Score, ...]:
    """What inference says of observations like those the policy was trained on."""
    cameras = [
        Score(f"{kind}:{camera}", 0.0, 1.0) for camera in robot.camera_names for kind in ("frozen", "dark")
    ]
    return (Score("ood", 0.1, 1.0), *cameras)


@dataclass(frozen=True)
class Subject:
    """Made by `subject_of`. `home` is a posture from which the arm can move a little without an objection."""

    robot: RobotSpec
    params: GuardParams
    config: GuardConfig
    model: ArmModel
    task: str
    home: tuple[float, ...] = ()

    @property
    def spans(self) -> tuple[float, ...]:
        return tuple(joint.upper_rad - joint.lower_rad for joint in self.robot.joints)

    def cycles(self, seconds: float) -> int:
        """Control cycles in so many seconds."""
        return round(seconds * self.params.control_rate_hz)

    def boundaries(self) -> list[Boundary]:
        """Those of the task."""
        read = read_config(self.config)
        if self.task not in read.tasks:
            raise InvalidInput(f"There is no task {self.task!r}. Known: {', '.join(read.tasks) or 'none'}.")
        return read.of_task(read.tasks[self.task], is_virtual=False)

    def guarded_by(self, *nodes: Node) -> GuardConfig:
        """The user's configuration with further boundaries in its task, one a node."""
        extra = [Boundary(f"verify_{index}_{node.callback}", (node,)) for index, node in enumerate(nodes)]
        return self.with_boundaries(extra)

    def guarded_only_by(self, *nodes: Node) -> GuardConfig:
        """The task under nothing but these nodes and the core checks."""
        task = {"name": self.task, "boundaries": [f"verify_{index}" for index in range(len(nodes))]}
        boundaries = [Boundary(f"verify_{index}", (node,)) for index, node in enumerate(nodes)]
        return GuardConfig(
            self.config.version,
            tuple(BoundaryWanted(b.name, 1, json.dumps(b.mapping())) for b in boundaries),
            (TaskWanted(self.task, json.dumps(task)),),
        )

    def with_boundaries(self, extra: Sequence[Boundary]) -> GuardConfig:
        """The same with whole boundaries."""
        tasks = []
        for wanted in self.config.tasks:
            entry = json.loads(wanted.config)
            if wanted.name == self.task:
                entry["boundaries"] = [*entry.get("boundaries", ()), *(boundary.name for boundary in extra)]
            tasks.append(TaskWanted(wanted.name, json.dumps(entry)))
        wanted_extra = (BoundaryWanted(b.name, 1, json.dumps(b.mapping())) for b in extra)
        return replace(
            self.config,
            boundaries=(*self.config.boundaries, *wanted_extra),
            tasks=tuple(tasks),
        )

    def world(self, policy: Policy | None = None, **options: Any) -> GuardWorld:
        """A healthy world around the user's guard, at `home`; `options` are those of GuardWorld.

        Without a policy the arm sways.
        """
        clock = options.setdefault("clock", ManualClock())
        settings: dict[str, Any] = {
            "scores": healthy_scores(self.robot),
            "params": self.params,
            "robot": self.robot,
            "config": self.config,
            "model": self.model,
            "measured": self.home,
            "host": HEALTHY_HOST,
            "embodiment": HEALTHY_ARM,
            "hardware": healthy_hardware(self.robot, self.boundaries()),
        }
        world = GuardWorld(policy=policy or self.sway(clock), **(settings | options))
        world.want(task=self.task)
        return world

    def running(self, policy: Policy | None = None, **options: Any) -> GuardWorld:
        """A world that runs and moves. Raises ValueError when it does not."""
        world = self.world(policy, **options)
        world.start()
        # Past the ramp, and in the middle of a plan.
        world.step(self.cycles(self.params.ramp_s) + 3)
        return world

    def sway(self, clock: ManualClock, speed: float = 1.0) -> Policy:
        """A policy that moves the first two joints a little and back, at a speed nobody objects to."""
        begin_ns = clock.now_ns

        def policy(measured: Sequence[float]) -> FloatArray:
            seconds = (clock.now_ns - begin_ns) / NS + np.arange(_STEPS) / 30
            actions = np.tile(np.array(self.home), (_STEPS, 1))
            for index, share in enumerate(_SWAY[: len(self.home)]):
                actions[:, index] += share * self.spans[index] * (1.0 - np.cos(speed * np.pi * seconds)) / 2.0
            return actions

        return policy

    def towards(self, *shares: float) -> Policy:
        """A policy that wants the arm at once so many shares of the joints' ranges away from home."""
        goal = np.array(self.home)
        for index, share in enumerate(shares[: len(goal)]):
            goal[index] += share * self.spans[index]
        return lambda measured: np.tile(goal, (_STEPS, 1))


def subject_of(
    robot: RobotSpec, params: GuardParams, config: GuardConfig, *, task: str = DEFAULT_TASK
) -> Subject:
    """Everything put together, with a posture to begin from. Raises InvalidInput when nothing can move at all."""
    subject = Subject(robot, params, config, model_of(robot), task)
    subject.boundaries()
    lower = np.array([joint.lower_rad for joint in robot.joints])
    upper = np.array([joint.upper_rad for joint in robot.joints])
    middle = (lower + upper) / 2
    inner = 0.35 * (upper - lower)
    postures = [
        np.clip(np.zeros(len(lower)), lower + 0.1 * (upper - lower), upper - 0.1 * (upper - lower)),
        middle,
    ]
    postures += list(
        np.random.default_rng(0).uniform(middle - inner, middle + inner, (_POSTURES_TRIED, len(lower)))
    )
    problem = ""
    for posture in postures:
        tried = replace(subject, home=tuple(posture.tolist()))
        problem = _objection(tried)
        if not problem:
            return tried
    raise InvalidInput(f"No posture was found from which the arm may move with this configuration: {problem}")


def _objection(subject: Subject) -> str:
    """Why a small motion from home does not simply pass; empty when it does."""
    world = subject.world()
    reasons = world.arm.not_ready()
    if reasons:
        # Whatever it is, it is not the posture.
        raise InvalidInput(f"The guard would refuse every start: {' '.join(reasons)}")
    try:
        world.start()
    except ValueError as error:
        return str(error)
    world.step(subject.cycles(subject.params.ramp_s) + 5)
    world.ports.cycles.clear()
    world.step(_STEPS)
    bad = [cycle for cycle in world.ports.cycles if cycle.executed != cycle.proposed]
    return bad[0].reason if bad else ""
