# SPDX-License-Identifier: Apache-2.0
"""A recording of a real guard, run again: the same guard does the same, another one what it would do."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from lerobot_arena.cli.app import app
from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.errors import NotFound
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.verify.world import GuardWorld, plain_config
from lerobot_arena.recording.reader import open_recording
from lerobot_arena.recording.replay import Report, replay
from lerobot_arena.testing.recordings import OWN, Writer, chunk_message, cycles, joint_state, message_of

ROBOT = load_robot("so101")


def recorded(path: Path, *, config: Any = None, steps: int = 150, temperature_c: float = 30.0) -> Path:
    """Two runs of a guarded arm that sways, and a pause in the second."""
    chunks: list[tuple[int, ActionChunk]] = []

    def noted(chunk: ActionChunk) -> ActionChunk:
        chunks.append((world.clock.wall_ns(), chunk))
        return chunk

    def sway(measured: Any) -> Any:
        seconds = world.clock.now_ns / 1e9 + np.arange(30) / 30
        actions = np.zeros((30, len(ROBOT.joints)))
        actions[:, 0] = 0.5 * np.sin(1.5 * seconds)
        return actions

    world = GuardWorld(policy=sway, config=config or plain_config(3))
    world.edit_chunk = noted
    events: list[tuple[int, int, str, Any]] = []

    def step(count: int) -> None:
        for _ in range(count):
            before = len(world.ports.cycles)
            measured = tuple(world.measured)
            world.step()
            now_ns = world.clock.wall_ns()
            sample = JointSample(ROBOT.joint_names, np.array(measured), "radians", now_ns, 0)
            events.append((now_ns - 1000, 0, "joints", sample))
            events.extend((now_ns, 1, "cycle", record) for record in world.ports.cycles[before:])

    step(5)
    for _ in range(2):
        assert world.arm.start().success
        step(steps)
        assert world.state == "running"
        world.arm.stop()
        step(30)
    events.extend((now_ns + 1000, 2, "chunk", chunk) for now_ns, chunk in chunks)
    events.extend((now_ns, 0, "hardware", temperature_c) for now_ns in {event[0] for event in events})
    writer = Writer(path, {"arm": "arm", "robot": "so101"})
    for now_ns, _, kind, value in sorted(events, key=lambda event: event[:2]):
        if kind == "cycle":
            writer.add_cycle(value, now_ns)
        elif kind == "joints":
            writer.add("/arm/joint_states", "sensor_msgs/msg/JointState", joint_state(value), now_ns)
        elif kind == "hardware":
            reading = message_of(HardwareReading(now_ns, ROBOT.joint_names, (value,) * 6))
            writer.add("/arm/embodiment/hardware", f"{OWN}/HardwareReading", reading, now_ns)
        else:
            writer.add("/arm/action_chunk", f"{OWN}/ActionChunk", chunk_message(value), now_ns)
    writer.end()
    return path


def replayed(path: Path, config: Any) -> Report:
    with open_recording(path) as recording:
        return replay(recording, robot=ROBOT, params=GuardParams(), config=config)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("r") / "a.mcap")


def test_the_same_guard_does_the_same(path: Path) -> None:
    report = replayed(path, plain_config(3))
    assert (report.runs, report.cycles, report.same) == (2, 300, 300)
    assert not report.refused and not report.stopped and not report.differences


def test_a_tighter_boundary_is_seen_before_it_is_applied(path: Path) -> None:
    slow = Boundary("slower", (Node("velocity", params={"max_velocity": [0.2] * 6}),))
    report = replayed(path, plain_config(4, slow))
    assert report.cycles == 300 and report.same < 200
    assert report.new["slower CLAMP"] > 50
    fresh = [each for each in report.differences if (each.was, each.now) == ("PASS", "CLAMP")]
    assert fresh and "Too fast" in fresh[0].now_reason


def test_a_looser_one_too(tmp_path: Path) -> None:
    slow = Boundary("slower", (Node("velocity", params={"max_velocity": [0.2] * 6}),))
    path = recorded(tmp_path / "a.mcap", config=plain_config(4, slow))
    assert replayed(path, plain_config(4, slow)).same == 300
    report = replayed(path, plain_config(5))
    assert report.gone["slower CLAMP"] > 50 and report.same < 200


def test_a_run_that_would_have_ended(path: Path) -> None:
    short = Boundary("short", (Node("task_timeout", params={"timeout_s": 1.0}, fallback="stop"),))
    report = replayed(path, plain_config(4, short))
    assert sum(report.stopped.values()) == 2 and report.not_run > 150
    assert report.same > 80


@pytest.mark.parametrize(("temperature_c", "told"), [(30.0, ""), (95.0, "95 °C")])
def test_what_the_hardware_said_is_heard(tmp_path: Path, temperature_c: float, told: str) -> None:
    path = recorded(tmp_path / "a.mcap", steps=40, temperature_c=temperature_c)
    report = replayed(path, plain_config(4, Boundary("hot", (Node("temperature"),))))
    assert (report.same, report.not_run) == ((0, 80) if told else (80, 0))
    assert told in " ".join(report.refused) and bool(told) == bool(report.refused)


def test_a_recording_in_which_nothing_ran(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.mcap", {"arm": "arm"})
    for record in cycles([Decision.PASS] * 3):
        writer.add_cycle(replace(record, state="idle"), record.stamp_ns)
    writer.end()
    with pytest.raises(NotFound, match="Nothing ran"):
        replayed(tmp_path / "a.mcap", plain_config())


def test_the_command(path: Path, tmp_path: Path) -> None:
    boundaries = {
        "boundaries": [
            {"name": "slower", "nodes": [{"callback": "velocity", "params": {"max_velocity": [0.2] * 6}}]}
        ],
        "tasks": [{"name": "default", "boundaries": ["slower"]}],
    }
    (tmp_path / "b.yaml").write_text(json.dumps(boundaries))
    result = CliRunner().invoke(app, ["replay", str(path), "--config", str(tmp_path / "b.yaml"), "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.output.strip().splitlines()[-1])
    assert found["cycles"] == 300 and found["new"]["slower CLAMP"] > 50
    result = CliRunner().invoke(app, ["replay", str(path), "--config", str(tmp_path / "b.yaml")])
    assert result.exit_code == 0 and "New objection" in result.output
