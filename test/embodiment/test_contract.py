# SPDX-License-Identifier: Apache-2.0
"""What every backend of the table owes, tried on the real thing: MuJoCo, LeRobot on servos, an arm behind topics."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import CameraSpec, RobotSpec, load_robot
from lerobot_arena.core.units import RADIANS
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Embodiment
from lerobot_arena.embodiment.table import BACKENDS
from lerobot_arena.embodiment.topics_backend import TopicsEmbodiment
from lerobot_arena.testing.bench import Catch, connect, wait_until

TARGET = [0.3, -0.4, 0.3, 0.4, 0.5, 0.6]
ELSEWHERE = [-0.3, -0.6, 0.5, 0.2, 0.1, 0.9]


class FollowingArm:
    """An arm under ros2_control: goes where the last trajectory says, and publishes joints among others'."""

    def __init__(self) -> None:
        self.values = np.zeros(6)
        self.embodiment: TopicsEmbodiment | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def send_trajectory(self, names: Sequence[str], positions: Sequence[float], seconds: float) -> None:
        if len(positions):
            self.values = np.array(positions)

    def send_group(self, positions: Sequence[float]) -> None:
        self.values = np.array(positions)

    def listener_count(self) -> int:
        return 1

    def begin(self, embodiment: TopicsEmbodiment) -> None:
        self.embodiment = embodiment
        self._thread.start()

    def end(self) -> None:
        self._ending.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _publish(self) -> None:
        names = ("base_wheel", "Rotation", *load_robot("so101").joint_names[1:])
        while not self._ending.wait(0.01):
            assert self.embodiment is not None
            now = time.monotonic_ns()
            values = np.array([9.0, *self.values])
            self.embodiment.receive(JointSample(names, values, RADIANS, time.time_ns(), now), None)


@dataclass
class Rig:
    """One backend, ready to connect."""

    embodiment: Embodiment
    robot: RobotSpec
    catch: Catch
    has_cameras: bool

    def connect(self) -> None:
        connect(self.embodiment, self.catch)
        wait_until("being connected", lambda: self.embodiment.condition().is_connected)

    def drive(self, target: list[float], what: str = "reaching the target") -> None:
        self.embodiment.command(np.array(target), 0.02)
        wait_until(what, lambda: self.catch.is_near(target))


@pytest.fixture
def make_rig(
    request: pytest.FixtureRequest, catch: Catch, let_go: list[Embodiment]
) -> Iterator[Callable[[str], Rig]]:
    arm = FollowingArm()

    def make(name: str) -> Rig:
        params = EmbodimentParams(backend=name, torque_warning_s=0.0)
        robot = load_robot("so101")
        if name == "mujoco":
            small = (CameraSpec("front", 64, 48, 30.0), CameraSpec("wrist", 32, 24, 30.0))
            robot = replace(robot, cameras=small)
        if name == "lerobot":
            request.getfixturevalue("patient_bus")
            robot, config = request.getfixturevalue("desk")
            params = replace(params, robot_config=str(config))
        embodiment = BACKENDS.load(name)(robot, params, arm)
        let_go.append(embodiment)
        if isinstance(embodiment, TopicsEmbodiment):
            arm.begin(embodiment)
        return Rig(embodiment, robot, catch, name == "mujoco")

    yield make
    arm.end()


every_backend = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.lerobot] if name == "lerobot" else []) for name in BACKENDS],
)


@every_backend
def test_it_drives_holds_stops_and_lets_go(name: str, make_rig: Callable[[str], Rig]) -> None:
    rig = make_rig(name)
    rig.connect()
    catch, embodiment = rig.catch, rig.embodiment

    sample = catch.readings[-1].sample
    assert sample.names == rig.robot.joint_names and sample.unit == RADIANS
    assert sample.values.shape == (6,) and np.isfinite(sample.values).all()
    assert abs(time.time_ns() - sample.stamp_ns) < 5e9 and 0 <= time.monotonic_ns() - sample.receipt_ns < 5e9

    rig.drive(TARGET)
    embodiment.hold()
    time.sleep(0.3)  # long enough to have sagged or gone on
    assert catch.is_near(TARGET), "holding keeps the last target"

    before = catch.readings[-1].sample.values
    answer = embodiment.emergency_stop()
    assert len(answer) > 20
    embodiment.command(np.array(ELSEWHERE), 0.02)
    time.sleep(0.3)  # time for what must not come
    assert np.abs(catch.readings[-1].sample.values - before).max() < 0.05, "a stopped arm ignores commands"

    embodiment.clear_emergency()
    time.sleep(0.2)  # time for what must not come
    assert catch.is_near(TARGET), "clearing moves nothing"
    rig.drive(ELSEWHERE, "moving again after the emergency was cleared")

    assert embodiment.camera_names == (rig.robot.camera_names if rig.has_cameras else ())
    for camera in rig.robot.cameras if rig.has_cameras else ():
        frame = wait_until(f"a frame of {camera.name}", lambda c=camera: catch.frames.get(c.name))
        assert frame.image.shape == (camera.height, camera.width, 3) and frame.image.dtype == np.uint8
        assert frame.image.std() > 5, "the picture shows something"
    assert not catch.joint_threads & catch.frame_threads, "a camera must not hold up the joints"
    assert threading.get_ident() not in catch.joint_threads

    embodiment.close()
    embodiment.close()
    count = len(catch.readings)
    time.sleep(0.1)  # time for what must not come
    assert len(catch.readings) == count, "nothing is delivered after close"


@every_backend
def test_verbs_before_connecting_are_harmless_and_truthful(name: str, make_rig: Callable[[str], Rig]) -> None:
    embodiment = make_rig(name).embodiment
    embodiment.command(np.array(TARGET), 0.02)
    embodiment.hold()
    assert not embodiment.condition().is_connected
    assert embodiment.emergency_stop()
    embodiment.clear_emergency()
    embodiment.close()
