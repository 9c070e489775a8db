# SPDX-License-Identifier: Apache-2.0
"""What a LeRobot arm's motors say of themselves, and torque that is cut because somebody configured it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HardwareReading
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.embodiment.lerobot_backend import LerobotEmbodiment
from lerobot_arena.embodiment.params import EmbodimentParams
from lerobot_arena.embodiment.protocol import Embodiment
from lerobot_arena.testing.bench import Catch, connect, wait_until
from lerobot_arena.testing.servos import CURRENT, GOAL, STATUS, TEMPERATURE, TORQUE, ServoBus

pytestmark = [pytest.mark.lerobot, pytest.mark.usefixtures("patient_bus")]

type Desk = tuple[RobotSpec, Path]
PARAMS = EmbodimentParams(backend="lerobot", torque_warning_s=0.0, hardware_rate_hz=2.0)
TARGET = np.array([0.3, -0.4, 0.3, 0.4, 0.5, 0.6])
ELSEWHERE = np.array([-0.3, 0.2, -0.2, 0.1, -0.4, 0.3])
_TOO_HOT, _VOLTAGE = 4, 1


@pytest.fixture
def arm(desk: Desk, catch: Catch, let_go: list[Embodiment]) -> LerobotEmbodiment:
    """On the bus, with its health read twice a second."""
    return connected(desk, catch, let_go)


def connected(desk: Desk, catch: Catch, let_go: list[Embodiment], **changes: object) -> LerobotEmbodiment:
    params = replace(PARAMS, robot_config=str(desk[1]), **changes)  # type: ignore[arg-type]
    embodiment = LerobotEmbodiment(desk[0], params)
    let_go.append(embodiment)
    connect(embodiment, catch)
    return embodiment


def next_reading(catch: Catch) -> HardwareReading:
    """One that was begun after now."""
    count = len(catch.hardware)
    return wait_until("two readings", lambda: len(catch.hardware) > count + 1 and catch.hardware[-1])


@pytest.fixture
def limp_arm(desk: Desk, catch: Catch, let_go: list[Embodiment]) -> Iterator[LerobotEmbodiment]:
    """An arm whose torque is to be cut on an emergency stop, on its way."""
    embodiment = connected(desk, catch, let_go, torque_off_on_estop=True)
    embodiment.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 0.01))
    yield embodiment


def test_temperature_voltage_and_current_come_in_si_units_by_joint(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    servos.servos[2].memory[TEMPERATURE] = 61
    servos.servos[3].set_word(CURRENT, 0x8000 | 200)  # the sign says in which direction it pushes
    reading = next_reading(catch)
    assert reading.joint_names == load_robot("so101").joint_names
    assert reading.temperature_c == (31.0, 61.0, 33.0, 34.0, 35.0, 36.0)
    assert reading.voltage_v == pytest.approx([12.1] * 6)
    assert reading.current_a == pytest.approx([0.065, 0.13, 1.3, 0.26, 0.325, 0.39])
    assert reading.force_n == reading.torque_nm == ()
    assert abs(reading.stamp_ns - time.time_ns()) < 5e9


def test_its_rate_is_the_wanted_one_and_the_joints_keep_theirs(arm: LerobotEmbodiment, catch: Catch) -> None:
    wait_until("the first", lambda: catch.hardware)
    joints, readings, begun = len(catch.readings), len(catch.hardware), time.monotonic()
    while time.monotonic() < begun + 2.0:
        arm.command(TARGET, 0.02)
        time.sleep(0.02)  # the rate that a guard commands at
    assert 2 <= len(catch.hardware) - readings <= 5
    assert (len(catch.readings) - joints) / (time.monotonic() - begun) > 10
    assert catch.is_near(TARGET.tolist(), 0.01)


def test_no_health_is_read_where_nobody_wants_it(
    desk: Desk, catch: Catch, let_go: list[Embodiment], servos: ServoBus
) -> None:
    servos.servos[1].memory[STATUS] = _TOO_HOT
    embodiment = connected(desk, catch, let_go, hardware_rate_hz=0.0)
    time.sleep(1.0)  # time for what must not come
    assert not catch.hardware and not embodiment.condition().is_protective_stop


def test_b7_a_register_without_an_answer_leaves_its_channel_empty_and_the_joints_alone(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    servos.untold.add(TEMPERATURE)
    reading = next_reading(catch)
    assert reading.temperature_c == () and len(reading.voltage_v) == 6
    condition = arm.condition()
    assert condition.is_connected and "Present_Temperature cannot be read" in condition.message
    wait_until("its rest", lambda: int(dict(arm.condition().counters)["health_errors"]) >= 3)
    joints, begun = len(catch.readings), time.monotonic()
    time.sleep(1.0)  # a stretch over which their rate is counted
    assert (len(catch.readings) - joints) / (time.monotonic() - begun) > 10, "it is left alone for a while"
    assert dict(arm.condition().counters)["health_errors"] == "3"


def test_h3_a_servo_that_cut_its_torque_is_asked_for_nothing_until_it_has_recovered(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    arm.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 0.01))
    servos.servos[2].memory[STATUS] = _TOO_HOT
    wait_until("the protective stop", lambda: arm.condition().is_protective_stop)
    assert "shoulder_lift: too hot" in arm.condition().message
    assert arm.condition().is_connected
    goals = servos.goals()

    def ignores_commands() -> bool:
        writes = len(servos.journal)
        arm.command(ELSEWHERE, 0.02)
        time.sleep(0.2)  # time for what must not come
        return len(servos.journal) == writes

    assert ignores_commands()
    arm.clear_emergency()
    assert arm.condition().is_protective_stop and ignores_commands(), "the cause is still there"
    servos.servos[2].memory[STATUS] = 0
    recovered = time.monotonic()
    next_reading(catch)
    assert arm.condition().is_protective_stop and ignores_commands(), "a blink of it is seen by everybody"
    wait_until("the end of it", lambda: not arm.condition().is_protective_stop)
    assert time.monotonic() - recovered > 2.0 and servos.goals() == goals
    arm.command(ELSEWHERE, 0.02)
    wait_until("moving again", lambda: catch.is_near(ELSEWHERE.tolist(), 0.01))


def test_a_supply_out_of_its_range_is_no_stop_of_the_servo(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    servos.servos[2].memory[STATUS] = _VOLTAGE
    next_reading(catch)
    assert not arm.condition().is_protective_stop


def test_h5_a_lost_bus_is_told_at_once_and_no_health_pretends_otherwise(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    next_reading(catch)
    servos.is_silent = True
    wait_until("the loss", lambda: not arm.condition().is_connected)
    count = len(catch.hardware)
    time.sleep(0.8)  # time for what must not come
    assert len(catch.hardware) == count


def test_h5_a_port_that_is_gone_is_told_with_what_to_do(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    servos.unplug()
    wait_until("the loss", lambda: not arm.condition().is_connected)
    wait_until("the reason", lambda: "start the embodiment again" in arm.condition().message)
    assert "Cut the power if the arm moves" in arm.emergency_stop()
    arm.command(TARGET, 0.02)
    begun = time.monotonic()
    arm.close()
    assert time.monotonic() - begun < 15.0


def test_f10_by_default_an_emergency_stop_keeps_the_torque(arm: LerobotEmbodiment, servos: ServoBus) -> None:
    cuts = servos.torque_cuts()
    assert "with torque on" in arm.emergency_stop()
    time.sleep(0.2)  # time for what must not come
    assert servos.torques() == [True] * 6 and servos.torque_cuts() == cuts


def test_f10_torque_that_is_configured_to_be_cut_is_cut_and_comes_back_without_a_jump(
    limp_arm: LerobotEmbodiment, catch: Catch, servos: ServoBus
) -> None:
    answer = limp_arm.emergency_stop()
    assert "Torque is off on 6 of 6 motors" in answer
    assert servos.torques() == [False] * 6
    assert limp_arm.emergency_stop() == answer, "asked again, it looks again"
    assert "limp" in limp_arm.condition().message
    # It falls.
    for servo in servos.servos.values():
        servo.position -= 150
    limp_arm.clear_emergency()
    time.sleep(0.3)  # time for what must not come
    assert servos.torques() == [False] * 6, "clearing changes nothing"
    fallen = catch.readings[-1].sample.values
    begun = len(servos.journal)
    limp_arm.command(fallen, 0.02)
    wait_until("torque", lambda: servos.torques() == [True] * 6)
    written = [write for write in servos.journal[begun:] if write.address in (GOAL, TORQUE)]
    assert [write.address for write in written[:12]] == [GOAL] * 6 + [TORQUE] * 6, (
        "first the goal, then the torque"
    )
    time.sleep(0.2)  # a jump would have moved it by now
    assert catch.is_near(fallen.tolist(), 0.01)
    assert "limp" not in limp_arm.condition().message
    limp_arm.command(TARGET, 0.02)
    wait_until("the target", lambda: catch.is_near(TARGET.tolist(), 0.01))


def test_f10_a_motor_that_does_not_confirm_is_told_truthfully(
    limp_arm: LerobotEmbodiment, servos: ServoBus
) -> None:
    servos.untold.add(TORQUE)
    begun = time.monotonic()
    answer = limp_arm.emergency_stop()
    assert "did not confirm" in answer and "cut the power" in answer
    assert time.monotonic() - begun < 5.0
    assert servos.torques() == [False] * 6, "the order itself was heard"
    servos.untold.clear()
    assert "6 of 6" in limp_arm.emergency_stop()


def test_torque_that_cannot_be_cut_is_refused_before_anything_is_touched(
    tmp_path: Path, plugins: tuple[str, ...], catch: Catch
) -> None:
    path = tmp_path / "plugin.yaml"
    path.write_text(f"{{type: arena_test_desk, id: x, calibration_dir: {tmp_path}}}")
    params = replace(
        PARAMS, robot_config=str(path), robot_unit="degrees", plugins=plugins, torque_off_on_estop=True
    )
    with pytest.raises(InvalidInput, match="cannot be cut from here"):
        LerobotEmbodiment(load_robot("so101"), params).connect(catch.outlet())


@pytest.mark.parametrize(("late_s", "late_about"), [(0.31, 0), (0.41, CURRENT)])
def test_answers_that_come_too_late_are_never_taken_for_other_registers(
    arm: LerobotEmbodiment, catch: Catch, servos: ServoBus, late_s: float, late_about: int
) -> None:
    """LeRobot asks again after its time-out, and the answer to the first question is taken for that of the second.

    The patient bus waits 0.3 s, and 0.1 s more for what is owed: what comes later still may answer the joints.
    """
    next_reading(catch)
    place = catch.readings[-1].sample.values.tolist()
    servos.late_about = late_about
    for turn in range(4):
        servos.late_s = late_s + 0.005 * turn
        wait_until("the delay", lambda: not servos.late_s)
        time.sleep(0.6)  # the late answer and what follows it
    reading = next_reading(catch)
    for each in [*catch.hardware, reading]:
        assert each.temperature_c in {(), (31.0, 32.0, 33.0, 34.0, 35.0, 36.0)}
        assert not each.voltage_v or each.voltage_v == pytest.approx([12.1] * 6)
    assert not any("stopped by itself" in text for text in catch.warnings)
    assert all(np.abs(each.sample.values - place).max() < 0.01 for each in catch.readings)
