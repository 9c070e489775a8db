# SPDX-License-Identifier: Apache-2.0
"""A LeRobot calibration becomes a robot file in which both libraries agree on every value."""

import json
from dataclasses import replace
from math import pi
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.units import DEGREES, NORMALIZED
from lerobot_arena.embodiment.calibration import (
    MotorRange,
    check_calibration,
    load_calibration,
    motor_of,
    robot_file_text,
    robot_spec_from_calibration,
)

BASE = load_robot("so101")
DESK = {
    "shoulder_pan": MotorRange(760, 3410),
    "shoulder_lift": MotorRange(830, 3200),
    "elbow_flex": MotorRange(880, 3090),
    "wrist_flex": MotorRange(900, 3200),
    "wrist_roll": MotorRange(0, 4095),
    "gripper": MotorRange(2020, 3490),
}


def test_the_middle_of_the_range_is_zero_and_steps_are_angles() -> None:
    desk = robot_spec_from_calibration(BASE, DESK, name="desk")
    pan = desk.joints[0]
    assert pan.scale.lower_rad == pytest.approx(-1325 * 2 * pi / 4095)
    assert desk.to_radians(np.zeros(6), NORMALIZED)[:5] == pytest.approx(0.0)
    assert desk.to_radians(np.full(6, 90.0), DEGREES)[0] == pytest.approx(pi / 2)


def test_a_closed_gripper_stays_where_the_model_is_closed() -> None:
    desk = robot_spec_from_calibration(BASE, DESK)
    values = desk.to_radians(np.array([0, 0, 0, 0, 0, 0.0]), NORMALIZED)
    assert values[5] == pytest.approx(BASE.joints[5].scale.lower_rad)


def test_limits_are_the_narrower_of_model_and_calibration() -> None:
    desk = robot_spec_from_calibration(BASE, DESK)
    by_name = {joint.name: joint for joint in desk.joints}
    assert by_name["wrist_roll"].upper_rad == BASE.joints[4].upper_rad, "a full turn keeps the model's limit"
    narrow = robot_spec_from_calibration(BASE, {**DESK, "elbow_flex": MotorRange(1500, 2600)})
    assert narrow.joints[2].upper_rad == pytest.approx(550 * 2 * pi / 4095)


def test_a_range_that_misses_the_limits_is_refused() -> None:
    gripper = replace(BASE.joints[5], lower_rad=1.0)
    base = replace(BASE, joints=(*BASE.joints[:5], gripper))
    with pytest.raises(InvalidInput, match="calibrate it from stop to stop"):
        robot_spec_from_calibration(base, {**DESK, "gripper": MotorRange(2020, 2100)})


def test_the_file_reads_back_as_the_same_robot(tmp_path: Path) -> None:
    desk = robot_spec_from_calibration(BASE, DESK, name="desk")
    path = tmp_path / "desk.yaml"
    path.write_text(robot_file_text(desk))
    assert load_robot(path) == desk


def test_a_lekiwi_arm_is_found_by_the_end_of_its_names() -> None:
    prefixed = {f"arm_{name}": entry for name, entry in DESK.items()} | {
        "base_left_wheel": MotorRange(0, 4095)
    }
    assert motor_of(BASE.joints[0], prefixed) == "arm_shoulder_pan"
    assert robot_spec_from_calibration(BASE, prefixed) == robot_spec_from_calibration(BASE, DESK)
    with pytest.raises(InvalidInput, match="no motor of its own"):
        motor_of(BASE.joints[0], ["left_shoulder_pan", "right_shoulder_pan"])


def test_a_robot_file_that_is_not_the_arms_is_refused() -> None:
    check_calibration(robot_spec_from_calibration(BASE, DESK), DESK)
    with pytest.raises(InvalidInput, match=r"shoulder_pan a range of 3\.840 rad.*arena robot add"):
        check_calibration(BASE, DESK)
    with pytest.raises(InvalidInput, match="has no calibration"):
        check_calibration(replace(BASE, is_calibrated=False), DESK)


BROKEN = {
    "not JSON": "{",
    "a list": "[]",
    "empty": "{}",
    "no range": '{"a": {"id": 1}}',
    "a bare number": '{"a": 3}',
    "text in a range": '{"a": {"range_min": "0", "range_max": 4095}}',
    "a reversed range": '{"a": {"range_min": 3000, "range_max": 1000}}',
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_calibration_file_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    path.write_text(BROKEN[kind])
    with pytest.raises(InvalidInput, match=r"desk\.json"):
        load_calibration(path)


def test_lerobots_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "desk.json"
    entries = {
        name: {"id": 1, "drive_mode": 0, "homing_offset": -5, "range_min": e.range_min, "range_max": e.range_max}
        for name, e in DESK.items()
    }  # fmt: skip
    path.write_text(json.dumps(entries))
    assert load_calibration(path) == DESK


@pytest.mark.lerobot
@settings(deadline=None)
@given(st.integers(800, 3200), st.sampled_from([NORMALIZED, DEGREES]))
def test_lerobots_own_normalisation_gives_the_same_radians(step: int, unit: str) -> None:
    """Steps → LeRobot's value → our radians is the same angle whichever unit LeRobot was told to speak."""
    from lerobot.motors import Motor, MotorCalibration, MotorNormMode
    from lerobot.motors.feetech import FeetechMotorsBus

    mode = MotorNormMode.DEGREES if unit == DEGREES else MotorNormMode.RANGE_M100_100
    entry = DESK["shoulder_pan"]
    calibration = {"shoulder_pan": MotorCalibration(1, 0, 0, entry.range_min, entry.range_max)}
    bus = FeetechMotorsBus("/dev/null", {"shoulder_pan": Motor(1, "sts3215", mode)}, calibration)
    value = bus._normalize({1: step})[1]
    desk = robot_spec_from_calibration(BASE, DESK)
    radians = desk.to_radians(np.array([value, 0, 0, 0, 0, 0]), unit)[0]
    assert radians == pytest.approx((step - (entry.range_min + entry.range_max) / 2) * 2 * pi / 4095)
