# SPDX-License-Identifier: Apache-2.0
"""LeRobot robots: LeRobot's own SO-101 driver on servos behind a pseudo terminal, and a plugin's robot."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput, Unavailable
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.embodiment.lerobot_backend import LerobotEmbodiment
from lerobot_arena.embodiment.lerobot_config import keep_torque, load_config, take_cameras
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Embodiment
from lerobot_arena.testing.bench import Catch, connect, wait_until
from lerobot_arena.testing.servos import HOMING, ServoBus

pytestmark = [pytest.mark.lerobot, pytest.mark.usefixtures("patient_bus")]

type Desk = tuple[RobotSpec, Path]
PARAMS = EmbodimentParams(backend="lerobot", torque_warning_s=0.0)
TARGET = np.array([0.3, -0.4, 0.3, 0.4, 0.5, 0.6])


def embodiment_of(desk: Desk, **changes: object) -> LerobotEmbodiment:
    return LerobotEmbodiment(desk[0], replace(PARAMS, robot_config=str(desk[1]), **changes))  # type: ignore[arg-type]


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_radians_are_those_of_the_stored_calibration(
    desk: Desk, servos: ServoBus, catch: Catch, let_go: list[Embodiment]
) -> None:
    embodiment = embodiment_of(desk)
    let_go.append(embodiment)
    connect(embodiment, catch)
    middle_closed = [0.0] * 5 + [catch.readings[-1].sample.values[5]]
    assert catch.is_near(middle_closed, 0.002)
    embodiment.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 0.003))
    steps_per_rad = 4095 / (2 * np.pi)
    middles = [(s.limits.range_min + s.limits.range_max) / 2 for s in servos.servos.values()]
    expected = [middle + value * steps_per_rad for middle, value in zip(middles[:5], TARGET[:5], strict=True)]
    assert np.abs(np.array(servos.goals()[:5]) - expected).max() <= 1.5


@pytest.mark.parametrize("use_degrees", [True, False])
def test_degrees_and_normalised_robots_move_alike(
    use_degrees: bool, desk: Desk, catch: Catch, let_go: list[Embodiment]
) -> None:
    edit(desk[1], use_degrees=use_degrees)
    embodiment = embodiment_of(desk)
    let_go.append(embodiment)
    connect(embodiment, catch)
    embodiment.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 0.003))


def test_torque_is_cut_only_after_the_warning_and_never_on_the_way_out(
    desk: Desk, servos: ServoBus, catch: Catch, let_go: list[Embodiment]
) -> None:
    embodiment = embodiment_of(desk, torque_warning_s=0.3)
    let_go.append(embodiment)
    thread = threading.Thread(target=connect, args=(embodiment, catch))
    thread.start()
    wait_until("the warning", lambda: any("support the arm now" in text for text in catch.warnings), 60.0)
    assert servos.torque_cuts() == 0
    thread.join()
    assert servos.torques() == [True] * 6
    cuts = servos.torque_cuts()
    embodiment.close()
    assert servos.torque_cuts() == cuts and servos.torques() == [True] * 6


def test_ending_during_the_warning_leaves_the_torque_alone(
    desk: Desk, servos: ServoBus, catch: Catch
) -> None:
    embodiment = embodiment_of(desk, torque_warning_s=30.0)
    thread = threading.Thread(target=embodiment.connect, args=(catch.outlet(),))
    thread.start()
    wait_until("the warning", lambda: any("support the arm now" in text for text in catch.warnings))
    embodiment.close()
    thread.join(timeout=20.0)
    assert not thread.is_alive() and servos.torque_cuts() == 0


def refused(embodiment: LerobotEmbodiment, catch: Catch, servos: ServoBus) -> str:
    with pytest.raises((InvalidInput, Unavailable)) as error:
        embodiment.connect(catch.outlet())
    assert servos.torque_cuts() == 0 and not servos.journal, "a refused arm is not touched"
    embodiment.close()
    return str(error.value)


def test_without_a_stored_calibration_it_says_how_to_make_one(
    desk: Desk, servos: ServoBus, catch: Catch
) -> None:
    (desk[1].parent / "desk.json").unlink()
    assert "lerobot-calibrate --robot.type=" in refused(embodiment_of(desk), catch, servos)


def test_motors_that_hold_another_calibration_are_refused(desk: Desk, servos: ServoBus, catch: Catch) -> None:
    servos.servos[3].set_word(HOMING, 40)
    assert "The motors hold another calibration" in refused(embodiment_of(desk), catch, servos)


def test_a_robot_file_of_another_arm_is_refused(desk: Desk, servos: ServoBus, catch: Catch) -> None:
    other = embodiment_of((load_robot("so101"), desk[1]))
    assert "write it again with `arena robot add --calibration`" in refused(other, catch, servos)


def test_a_reversed_motor_in_degrees_is_refused(desk: Desk, servos: ServoBus, catch: Catch) -> None:
    path = desk[1].parent / "desk.json"
    entries = json.loads(path.read_text())
    entries["elbow_flex"]["drive_mode"] = 1
    path.write_text(json.dumps(entries))
    assert "drive_mode 1" in refused(embodiment_of(desk), catch, servos)


def test_a_silent_or_missing_bus_may_come_back(desk: Desk, servos: ServoBus, catch: Catch) -> None:
    servos.is_silent = True
    with pytest.raises(Unavailable, match="does not answer"):
        embodiment_of(desk).connect(catch.outlet())
    edit(desk[1], port="/dev/there_is_no_such_port")
    with pytest.raises(Unavailable, match="there_is_no_such_port"):
        embodiment_of(desk).connect(catch.outlet())


def test_a_bus_that_falls_silent_is_told_truthfully_and_recovers(
    desk: Desk, servos: ServoBus, catch: Catch, let_go: list[Embodiment]
) -> None:
    embodiment = embodiment_of(desk)
    let_go.append(embodiment)
    connect(embodiment, catch)
    assert "the bus answered" in embodiment.emergency_stop()
    embodiment.clear_emergency()
    cuts = servos.torque_cuts()
    servos.is_silent = True
    wait_until("the loss", lambda: not embodiment.condition().is_connected)
    assert "check cable and power" in embodiment.condition().message
    assert "Cut the power if the arm moves" in embodiment.emergency_stop()
    wait_until("LeRobot's own words", lambda: "ConnectionError" in embodiment.condition().message)
    embodiment.clear_emergency()
    servos.is_silent = False
    wait_until("the recovery", lambda: embodiment.condition().is_connected)
    assert servos.torque_cuts() == cuts, "coming back does not configure, which would cut the torque"


BROKEN = {
    "no file named": ("", "arena robot add"),
    "missing": ("absent.yaml", "cannot be read"),
    "not YAML": ("{a: [", "neither YAML nor JSON"),
    "a list": ("[1]", "must be a mapping"),
    "an unknown type": ("{type: so999}", "knows no robot type 'so999'. Known: .*so101_follower"),
    "an unknown field": ("{type: so101_follower, prt: x}", "does not accept this as so101_follower: .*prt"),
    "a YAML object": ("!!python/object/apply:os.getcwd []", "neither YAML nor JSON"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_configuration_is_explained(kind: str, tmp_path: Path) -> None:
    text, reason = BROKEN[kind]
    path = tmp_path / (text if text.endswith(".yaml") else "robot.yaml")
    if text and not text.endswith(".yaml"):
        path.write_text(text)
    with pytest.raises(InvalidInput, match=reason):
        load_config(str(path) if text else "", ())


def test_cameras_and_torque_of_two_arms_in_one_config(tmp_path: Path) -> None:
    camera = {"type": "opencv", "index_or_path": 0, "width": 64, "height": 48, "fps": 30, "color_mode": "bgr"}
    path = tmp_path / "two.json"
    path.write_text(
        json.dumps({
            "type": "bi_so_follower", "id": "two", "calibration_dir": str(tmp_path),
            "left_arm_config": {"port": "/dev/a", "cameras": {"wrist": camera}},
            "right_arm_config": {"port": "/dev/b"},
            "cameras": {"front": camera},
        })
    )  # fmt: skip
    config = load_config(str(path), ())
    cameras = take_cameras(config)
    assert sorted(cameras) == ["front", "left_wrist"]
    assert {each.color_mode.value for each in cameras.values()} == {"rgb"}, "we publish rgb8"
    assert config.cameras == config.left_arm_config.cameras == {}
    assert keep_torque(config)
    assert not config.left_arm_config.disable_torque_on_disconnect
    assert not config.right_arm_config.disable_torque_on_disconnect


@pytest.fixture
def plugin_robot(tmp_path: Path, plugins: tuple[str, ...]) -> tuple[Path, EmbodimentParams]:
    """A robot and cameras that only a plugin knows; it speaks degrees and LeRobot cannot tell."""
    path = tmp_path / "plugin.json"
    path.write_text(json.dumps({"type": "arena_test_desk", "id": "x", "calibration_dir": str(tmp_path)}))
    return path, replace(PARAMS, robot_config=str(path), robot_unit="degrees", plugins=plugins)


def test_a_plugins_robot_works_in_the_unit_it_is_said_to_speak(
    plugin_robot: tuple[Path, EmbodimentParams], catch: Catch, let_go: list[Embodiment]
) -> None:
    path, params = plugin_robot
    with pytest.raises(InvalidInput, match="set robot_unit"):
        LerobotEmbodiment(load_robot("so101"), replace(params, robot_unit="")).connect(catch.outlet())
    edit(path, extra_action="x.vel")
    embodiment = LerobotEmbodiment(load_robot("so101"), params)
    let_go.append(embodiment)
    embodiment.connect(catch.outlet())
    embodiment.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 1e-6))
    assert any("no disable_torque_on_disconnect" in text for text in catch.warnings)


@pytest.mark.parametrize("verb", ["hold", "emergency_stop"])
def test_a_target_that_waits_for_a_slow_bus_is_forgotten(
    verb: str, plugin_robot: tuple[Path, EmbodimentParams], catch: Catch, let_go: list[Embodiment]
) -> None:
    path, params = plugin_robot
    edit(path, read_s=0.4)
    embodiment = LerobotEmbodiment(load_robot("so101"), params)
    let_go.append(embodiment)
    connect(embodiment, catch)
    home = catch.readings[0].sample.values.tolist()
    time.sleep(0.1)  # into the next read
    embodiment.command(TARGET, 0.02)
    getattr(embodiment, verb)()
    count = len(catch.readings)
    wait_until("two more readings", lambda: len(catch.readings) > count + 1)
    assert catch.is_near(home, 1e-9)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"asks": True}, "asked for input"),
        ({"is_calibrated": False}, "is not calibrated"),
        ({"extra_action": "lift.force"}, "also takes lift.force"),
    ],
)
def test_a_plugins_robot_that_asks_or_wants_more_is_refused(
    changes: dict[str, object],
    reason: str,
    plugin_robot: tuple[Path, EmbodimentParams],
    catch: Catch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    path, params = plugin_robot
    edit(path, **changes)
    (tmp_path / "empty").touch()
    with (tmp_path / "empty").open() as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        with pytest.raises(InvalidInput, match=reason):
            LerobotEmbodiment(load_robot("so101"), params).connect(catch.outlet())


def test_cameras_never_hold_up_the_joints(
    plugin_robot: tuple[Path, EmbodimentParams], catch: Catch, let_go: list[Embodiment]
) -> None:
    """One camera works, one hangs in a read, one cannot be opened: joints keep their rate, the status names them."""
    path, params = plugin_robot
    pattern = {"type": "arena_test_pattern", "width": 8, "height": 6, "fps": 50}
    cameras = {
        "good": pattern | {"color": [200, 100, 0]},
        "stuck": pattern | {"stall_s": 1.5},
        "gone": pattern | {"fails": True},
    }
    edit(path, cameras=cameras)
    embodiment = LerobotEmbodiment(load_robot("so101"), params)
    let_go.append(embodiment)
    embodiment.connect(catch.outlet())
    assert embodiment.camera_names == ("good", "stuck", "gone")
    frame = wait_until("a picture", lambda: catch.frames.get("good"))
    assert frame.image[0, 0].tolist() == [200, 100, 0] and frame.image.shape == (6, 8, 3)
    begun, count = time.monotonic(), len(catch.readings)
    time.sleep(1.0)  # a stretch over which their rate is counted
    assert (len(catch.readings) - count) / (time.monotonic() - begun) > 10
    gaps = np.diff([reading.sample.receipt_ns for reading in catch.readings]) / 1e9
    assert gaps.max() < 1.2, "a read of 1.5 s must not be felt"
    assert "camera gone: ConnectionError: no such camera" in embodiment.condition().message
    assert any(text.startswith("Camera gone:") for text in catch.warnings)
