# SPDX-License-Identifier: Apache-2.0
"""An arm behind topics: names decide, commands go out under its own names, an e-stop makes no new target."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from lerobot_arena.core.clock import ManualClock
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import RADIANS
from lerobot_arena.embodiment.params import GROUP, TOPICS, EmbodimentParams
from lerobot_arena.embodiment.topics_backend import TopicsEmbodiment, camera_sources
from lerobot_arena.testing.bench import Catch

ROBOT = load_robot("so101")
TARGET = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


class Controller:
    """Keeps what was sent."""

    def __init__(self) -> None:
        self.trajectories: list[tuple[list[str], list[float], float]] = []
        self.groups: list[list[float]] = []
        self.listeners = 1

    def send_trajectory(self, names: Sequence[str], positions: Sequence[float], seconds: float) -> None:
        self.trajectories.append((list(names), list(positions), seconds))

    def send_group(self, positions: Sequence[float]) -> None:
        self.groups.append(list(positions))

    def listener_count(self) -> int:
        return self.listeners


class Bench:
    def __init__(self, **changes: object) -> None:
        self.clock, self.controller, self.catch = ManualClock(), Controller(), Catch()
        params = replace(EmbodimentParams(backend=TOPICS), **changes)  # type: ignore[arg-type]
        self.arm = TopicsEmbodiment(ROBOT, params, self.controller, self.clock)
        self.arm.connect(self.catch.outlet())

    def hear(self, names: Sequence[str], values: Sequence[float], velocities: Sequence[float] = ()) -> None:
        now = self.clock.steady_ns()
        sample = JointSample(tuple(names), np.array(values, dtype=float), RADIANS, 5, now)
        self.arm.receive(sample, np.array(velocities))


def test_names_decide_and_other_joints_are_ignored() -> None:
    bench = Bench()
    names = ["wheel", *reversed(ROBOT.joint_names)]
    bench.hear(names, [9, 6, 5, 4, 3, 2, 1], [90, 60, 50, 40, 30, 20, 10])
    reading = bench.catch.readings[-1]
    assert reading.sample.names == ROBOT.joint_names
    assert reading.sample.values.tolist() == [1, 2, 3, 4, 5, 6]
    assert reading.velocities is not None and reading.velocities.tolist() == [10, 20, 30, 40, 50, 60]
    bench.hear(ROBOT.joint_names, [1, 2, 3, 4, 5, 6])
    assert bench.catch.readings[-1].velocities is None, "a source need not give velocities"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (ROBOT.joint_names[:5], "does not have joint 'gripper'"),
        ((*ROBOT.joint_names, "Rotation"), "more than one joint 'shoulder_pan'"),
        ((), "does not have joint 'shoulder_pan'"),
    ],
)
def test_a_message_without_exactly_our_joints_is_not_an_arm(names: Sequence[str], reason: str) -> None:
    bench = Bench()
    bench.hear(names, [0.0] * len(names))
    assert not bench.catch.readings
    condition = bench.arm.condition()
    assert not condition.is_connected and reason in condition.message
    bench.arm.command(TARGET, 0.02)
    assert not bench.controller.trajectories, "nothing is sent before the arm's names are known"


def test_it_is_connected_while_joints_come() -> None:
    bench = Bench(joint_source_timeout_s=0.5)
    assert "No joint state on /joint_states yet" in bench.arm.condition().message
    bench.hear(ROBOT.joint_names, [0.0] * 6)
    assert bench.arm.condition().is_connected
    bench.clock.advance(0.6)
    assert "for 0.6 s; is the arm's driver up?" in bench.arm.condition().message
    bench.hear(ROBOT.joint_names, [0.0] * 6)
    bench.controller.listeners = 0
    assert bench.arm.condition().is_connected and "No controller listens" in bench.arm.condition().message


def test_a_trajectory_has_the_controllers_names_and_one_point_k_periods_ahead() -> None:
    bench = Bench(trajectory_periods=3.0)
    bench.hear(("Jaw", "wheel", "Rotation", *ROBOT.joint_names[1:5]), [0.0] * 7)
    bench.arm.command(TARGET, 0.02)
    names, positions, seconds = bench.controller.trajectories[-1]
    assert names == ["Rotation", *ROBOT.joint_names[1:5], "Jaw"]
    assert positions == TARGET.tolist() and seconds == pytest.approx(0.06)


def test_a_group_gets_positions_in_the_robots_order() -> None:
    bench = Bench(command_kind=GROUP)
    bench.hear(ROBOT.joint_names, [0.0] * 6)
    bench.arm.command(TARGET, 0.02)
    assert bench.controller.groups == [TARGET.tolist()] and not bench.controller.trajectories


@pytest.mark.parametrize("kind", ["trajectory", GROUP])
def test_an_emergency_stop_makes_no_new_target_and_claims_no_more_than_is_known(kind: str) -> None:
    bench = Bench(command_kind=kind)
    bench.hear(ROBOT.joint_names, [0.0] * 6)
    bench.arm.command(TARGET, 0.02)
    answer = bench.arm.emergency_stop()
    assert "A topic acknowledges nothing" in answer
    bench.arm.command(TARGET + 0.5, 0.02)
    assert bench.controller.groups in ([], [TARGET.tolist()])
    sent = [positions for _, positions, _ in bench.controller.trajectories]
    assert sent == ([TARGET.tolist(), []] if kind == "trajectory" else [])
    bench.controller.listeners = 0
    assert "nobody listens on" in bench.arm.emergency_stop()
    bench.arm.clear_emergency()
    assert len(bench.controller.trajectories) == (3 if kind == "trajectory" else 0), "clearing sends nothing"


def test_camera_topics_are_parsed() -> None:
    assert camera_sources(["front=/a/image", "wrist=/b"]) == {"front": "/a/image", "wrist": "/b"}
    for wrong in ("front", "front=image", "=/a", ""):
        with pytest.raises(InvalidInput, match="camera_topics"):
            camera_sources([wrong])
    with pytest.raises(InvalidInput, match="twice"):
        camera_sources(["a=/a", "a=/b"])
