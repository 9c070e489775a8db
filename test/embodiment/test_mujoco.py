# SPDX-License-Identifier: Apache-2.0
"""The simulator in real time, and its rendering process: it may die, and never outlives us."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psutil
import pytest

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.robot import CameraSpec, RobotSpec, load_robot
from lerobot_arena.embodiment.mujoco_backend import MujocoEmbodiment
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Embodiment, Simulated
from lerobot_arena.testing.bench import Catch, wait_until

WORKER = "lerobot_arena.embodiment.render_worker"


def small_so101() -> RobotSpec:
    cameras = (CameraSpec("front", 64, 48, 30.0), CameraSpec("wrist", 32, 24, 10.0))
    return replace(load_robot("so101"), cameras=cameras)


def render_workers(parent: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(parent).children() if WORKER in child.cmdline()]


@pytest.fixture
def simulator(catch: Catch, let_go: list[Embodiment]) -> Iterator[MujocoEmbodiment]:
    embodiment = MujocoEmbodiment(small_so101(), EmbodimentParams(seed=7))
    let_go.append(embodiment)
    embodiment.connect(catch.outlet())
    wait_until("a reading", lambda: catch.readings)
    yield embodiment


def test_time_and_pictures_keep_pace(simulator: MujocoEmbodiment, catch: Catch) -> None:
    """Rates are upper bounds here, for the machine may be busy: neither waits for the other, nothing runs ahead."""
    wait_until("a frame", lambda: catch.frame_counts.get("front"))
    count, frames, begun = len(catch.readings), catch.frame_counts["front"], time.monotonic()
    time.sleep(2.0)  # the simulator runs in real time; its rates are measured over this
    elapsed = time.monotonic() - begun
    joint_rate, frame_rate = (
        (len(catch.readings) - count) / elapsed,
        (catch.frame_counts["front"] - frames) / elapsed,
    )
    assert joint_rate < 110 and frame_rate < 33
    assert frame_rate > 2 and joint_rate > 1.5 * frame_rate
    assert catch.readings[-1].velocities is not None
    stamps = [reading.sample.stamp_ns for reading in catch.readings]
    assert stamps == sorted(stamps)


def test_nobody_looking_means_nothing_is_drawn(simulator: MujocoEmbodiment, catch: Catch) -> None:
    wait_until("frames", lambda: catch.frames)
    catch.wanted = False
    count = sum(catch.frame_counts.values())
    time.sleep(1.0)  # time for frames that must not come
    assert sum(catch.frame_counts.values()) <= count + 2, "at most what each camera was drawing already"
    count = sum(catch.frame_counts.values())
    catch.wanted = True
    wait_until("frames again", lambda: sum(catch.frame_counts.values()) > count)


def test_each_reset_is_the_next_seed_and_the_same_scene_again(
    simulator: MujocoEmbodiment, catch: Catch
) -> None:
    assert isinstance(simulator, Simulated)
    simulator.command(np.array([0.5, -0.5, 0.5, 0.5, 0.5, 0.5]), 0.02)
    wait_until("moving", lambda: catch.is_near([0.5, -0.5, 0.5, 0.5, 0.5, 0.5]))
    assert simulator.task_status().seed == 7 and simulator.task_status().episode == 1
    assert simulator.reset_scene() == 8
    status = simulator.task_status()
    assert (status.seed, status.episode, status.is_over) == (8, 2, False)
    time.sleep(0.3)  # the simulator runs in real time; an idle stretch of it is the case
    assert simulator.task_status().elapsed_s == 0.0, "an episode's time begins when the arm is driven"
    assert simulator.repeat_scene() == 8
    assert simulator.task_status().episode == 3
    time.sleep(0.3)  # idle again, in the repeated scene
    here = catch.readings[-1].sample.values
    twin = MujocoEmbodiment(small_so101(), EmbodimentParams(seed=8, publish_cameras=False))
    other = Catch()
    twin.connect(other.outlet())
    wait_until("a reading", lambda: len(other.readings) > 30)
    twin.close()
    assert np.abs(other.readings[-1].sample.values - here).max() < 0.01
    simulator.command(here, 0.02)
    wait_until("the episode's clock", lambda: simulator.task_status().elapsed_s > 0.05)


def test_a_killed_renderer_is_replaced_while_physics_goes_on(
    simulator: MujocoEmbodiment, catch: Catch
) -> None:
    wait_until("frames", lambda: catch.frames)
    victim = render_workers(os.getpid())[0]
    victim.kill()
    wait_until("the message", lambda: "rendering process ended" in simulator.condition().message)
    count = len(catch.readings)
    frames = sum(catch.frame_counts.values())
    wait_until("new frames", lambda: sum(catch.frame_counts.values()) > frames)
    assert simulator.condition().message == "" and simulator.condition().is_connected
    assert len(catch.readings) > count + 20
    assert ("render_restarts", "1") in simulator.condition().counters
    assert any("It is started again" in text for text in catch.warnings)


def test_closing_ends_the_renderer(simulator: MujocoEmbodiment) -> None:
    workers = render_workers(os.getpid())
    assert workers
    simulator.close()
    assert not any(worker.is_running() for worker in workers)


def test_the_renderer_does_not_outlive_a_killed_parent() -> None:
    program = textwrap.dedent(
        """
        import time
        from lerobot_arena.core.robot import load_robot
        from lerobot_arena.embodiment.mujoco_backend import MujocoEmbodiment
        from lerobot_arena.embodiment.params import EmbodimentParams
        from lerobot_arena.testing.bench import Catch
        catch = Catch()
        catch.wanted = False  # an idle renderer has only its pipe's end to notice
        MujocoEmbodiment(load_robot("so101"), EmbodimentParams()).connect(catch.outlet())
        print("running", flush=True)
        time.sleep(60)
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert parent.stdout is not None and parent.stdout.readline() == b"running\n"
        workers = render_workers(parent.pid)
        assert len(workers) == 1
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    wait_until("the worker's end", lambda: not workers[0].is_running(), timeout_s=20.0)


def test_without_opengl_it_names_what_to_install(catch: Catch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "disable")
    embodiment = MujocoEmbodiment(small_so101(), EmbodimentParams())
    with pytest.raises(Unavailable, match="libegl1"):
        embodiment.connect(catch.outlet())
    embodiment.close()


def test_another_arm_is_refused(catch: Catch) -> None:
    robot = load_robot("so101")
    five = replace(robot, joints=robot.joints[:5])
    with pytest.raises(InvalidInput, match="The simulator is an SO-101"):
        MujocoEmbodiment(five, EmbodimentParams()).connect(catch.outlet())


def test_a_reset_before_the_scene_is_there_is_refused() -> None:
    with pytest.raises(Unavailable, match="still starting"):
        MujocoEmbodiment(small_so101(), EmbodimentParams()).reset_scene()
