# SPDX-License-Identifier: Apache-2.0
"""Checks that look at sensors, hardware, the task and the machine: each fault they own, and its border.

Ids of parametrized cases and names of tests begin with the row of the fault list that they are (A16, B4, H1 …).
"""

from dataclasses import replace
from math import inf, nan
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.params import params_from_mapping
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD, SLOW_DOWN, STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import boundary_from_mapping
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, JointLimits
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.seat import Seat

NAMES = ("pan", "lift", "gripper")
LIMITS = JointLimits((-2.0, -1.0, 0.0), (2.0, 1.0, 1.5), (3.0, 3.0, 4.0), (30.0, 30.0, 60.0))
BODY = Body(NAMES, "radians", LIMITS)
HERE = (0.1, 0.2, 0.3)
COOL = HardwareReading(
    0, NAMES, (40.0, 41.0, 42.0), (0.2, 0.3, 0.1), (12.0, 12.1, 11.9), (1.0, 2.0, 2.0), (0.1, 0.0, 0.0)
)
HEALTHY = HostHealth(35.0, 40.0, 60.0, 10_000_000_000)
SCORES = {
    "ood": Score("ood", 0.5, 1.0),
    "frozen:front": Score("frozen:front", 0.0, 3.0),
    "dark:front": Score("dark:front", 0.4, 0.95),
}
GOOD = CheckInput(
    joint_names=NAMES,
    unit="radians",
    limits=LIMITS,
    dt_s=0.02,
    measured=HERE,
    joint_age_s=0.01,
    previous_command=HERE,
    previous_velocity=(0.0, 0.0, 0.0),
    proposed=(0.1005, 0.2, 0.3),
    proposed_names=NAMES,
    action_age_s=0.1,
    now_s=100.0,
    run_s=5.0,
    chunk_sequence=1,
    overlap=0.02,
    scores=MappingProxyType(SCORES),
    scores_age_s=0.1,
    hardware=COOL,
    hardware_age_s=0.4,
    host=HEALTHY,
    host_age_s=0.5,
    embodiment_age_s=0.3,
)
MINE = (
    "joint_age", "heartbeat", "teleport", "task_timeout", "frozen_policy", "chunk_overlap", "ood", "camera_health",
    "following_error", "frozen_sensor", "temperature", "current", "voltage", "force_torque", "host_health",
)  # fmt: skip
JOINT_CHANNELS = {"temperature": "temperature_c", "current": "current_a", "voltage": "voltage_v"}
HARDWARE = (*JOINT_CHANNELS, "force_torque")


def make(name: str, body: Body = BODY, **params: Any) -> Check:
    check_type = CHECKS.load(name)
    check: Check = check_type(params_from_mapping(check_type.params_type, params), body)
    return check


def told(**changes: Any) -> dict[str, Any]:
    return {"hardware": replace(COOL, **changes)}


def scored(**values: float) -> dict[str, Any]:
    """These scores at other values."""
    names = {name.replace(":", "_"): name for name in SCORES}
    changed = {names[key]: replace(SCORES[names[key]], value=value) for key, value in values.items()}
    return {"scores": SCORES | changed}


@pytest.mark.parametrize("name", MINE)
def test_a_healthy_world_passes_untouched_and_so_does_an_idle_one(name: str) -> None:
    check = make(name)
    for cycle in range(200):
        now = replace(GOOD, now_s=100.0 + 0.02 * cycle, chunk_sequence=1 + cycle // 25)
        assert check.examine(now) == Finding()
    # Nothing was ever commanded, no chunk came.
    idle = replace(GOOD, run_s=0.0, previous_command=(), previous_velocity=(), chunk_sequence=0, overlap=None)
    assert make(name).examine(idle) == Finding()


CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], Decision, str]] = {
    "B1 no joint state ever": (
        "joint_age", {}, {"joint_age_s": -1.0, "measured": ()}, Decision.FAULT, "No joint state"),
    "B2 joint state too old": ("joint_age", {}, {"joint_age_s": 0.31}, Decision.FAULT, "0.31 s old"),
    "H3 the robot stopped by itself": (
        "heartbeat", {}, {"embodiment_problem": "It stopped by itself."}, Decision.FAULT, "by itself"),
    "H4 the driver is silent": ("heartbeat", {}, {"embodiment_age_s": 3.01}, Decision.FAULT, "3.0 s"),
    "H4 an age that is none": ("heartbeat", {}, {"embodiment_age_s": nan}, Decision.FAULT, "silent"),
    "H5 the port is gone": (
        "heartbeat", {}, {"embodiment_problem": "The embodiment is not connected."}, Decision.FAULT, "connected"),
    "E10 the task's time is over": ("task_timeout", {}, {"run_s": 60.01}, Decision.REJECT, "60 s are allowed"),
    "H1 warm": ("temperature", {}, told(temperature_c=(40.0, 56.0, 40.0)), Decision.CLAMP, "lift: 56 °C"),
    "H1 hot": ("temperature", {}, told(temperature_c=(40.0, 40.0, 65.1)), Decision.FAULT, "gripper: 65.1"),
    "H1 warm, to be slowed": (
        "temperature", {"reject_at_warn": True}, told(temperature_c=(56.0, 40.0, 40.0)), Decision.REJECT, "55"),
    "H1 hot outranks warm": (
        "temperature", {"reject_at_warn": True}, told(temperature_c=(56.0, 70.0, 40.0)), Decision.FAULT, "65"),
    "H1 a high current": ("current", {}, told(current_a=(1.3, 0.0, 0.0)), Decision.CLAMP, "pan: 1.3 A"),
    "H1 over-current": ("current", {}, told(current_a=(0.0, 2.1, 0.0)), Decision.FAULT, "lift: 2.1 A"),
    "H1 a sagging supply": ("voltage", {}, told(voltage_v=(10.9, 12.0, 12.0)), Decision.CLAMP, "level is 11"),
    "H1 under-voltage": ("voltage", {}, told(voltage_v=(12.0, 9.9, 12.0)), Decision.FAULT, "limit is 10"),
    "H1 a high supply": ("voltage", {}, told(voltage_v=(12.0, 12.0, 12.9)), Decision.CLAMP, "level is 12.8"),
    "H1 over-voltage": ("voltage", {}, told(voltage_v=(12.0, 12.0, 14.0)), Decision.FAULT, "limit is 13.5"),
    "B9 pushing": ("force_torque", {}, told(force_n=(0.0, 30.0, 10.0)), Decision.CLAMP, "force: 31.62 N"),
    "B9 pushing too hard": ("force_torque", {}, told(force_n=(30.0, 30.0, 30.0)), Decision.FAULT, "limit is 50"),
    "B9 twisting too hard": (
        "force_torque", {}, told(torque_nm=(0.0, 0.0, 10.1)), Decision.FAULT, "torque: 10.1 Nm"),
    "B9 a force of only two axes": ("force_torque", {}, told(force_n=(1.0, 1.0)), Decision.FAULT, "2 numbers"),
    "B9 a force that overflows": ("force_torque", {}, told(force_n=(1e308,) * 3), Decision.FAULT, "force"),
    "host out of memory": ("host_health", {}, {"host": replace(HEALTHY, memory_percent=98.0)}, Decision.FAULT, "98"),
    "host short of memory": (
        "host_health", {}, {"host": replace(HEALTHY, memory_percent=91.0)}, Decision.CLAMP, "91 % used"),
    "host hot": ("host_health", {}, {"host": replace(HEALTHY, temperature_c=99.0)}, Decision.FAULT, "temperature"),
    "host's disk full": (
        "host_health", {}, {"host": replace(HEALTHY, disk_free_bytes=10_000_000)}, Decision.FAULT, "disk: 10 MB"),
    "host busy, where that is limited": (
        "host_health", {"warn_cpu_percent": 80.0, "max_cpu_percent": 90.0},
        {"host": replace(HEALTHY, cpu_percent=95.0)}, Decision.FAULT, "cpu: 95"),
    "host not told and required": (
        "host_health", {"required": ["temperature"]},
        {"host": replace(HEALTHY, temperature_c=None)}, Decision.FAULT, "required"),
    "host tells no number": ("host_health", {}, {"host": replace(HEALTHY, memory_percent=nan)}, Decision.FAULT, "nan"),
    "host not looked at": ("host_health", {}, {"host_age_s": 10.1}, Decision.FAULT, "10.1 s"),
    "host never looked at": ("host_health", {}, {"host": None, "host_age_s": -1.0}, Decision.FAULT, "yet"),
    "ood": ("ood", {}, scored(ood=1.01), Decision.REJECT, "ood 1.01 (limit 1)"),
    "ood no number": ("ood", {}, scored(ood=nan), Decision.REJECT, "nan"),
    "ood threshold no number": (
        "ood", {}, {"scores": {"ood": Score("ood", 0.0, nan)}}, Decision.REJECT, "limit nan"),
    "ood scaled": ("ood", {"threshold_scale": 0.4}, {}, Decision.REJECT, "limit 0.4"),
    "ood stale": ("ood", {}, {"scores_age_s": 2.1}, Decision.CLAMP, "2.1 s old"),
    "ood stale and required": ("ood", {"required": True}, {"scores_age_s": 2.1}, Decision.REJECT, "2.1 s old"),
    "ood of no known age": ("ood", {"required": True}, {"scores_age_s": nan}, Decision.REJECT, "nan"),
    "ood missing and required": ("ood", {"required": True}, {"scores": {}}, Decision.REJECT, "gives no"),
    "B6 a frozen camera": ("camera_health", {}, scored(frozen_front=4.0), Decision.CLAMP, "frozen:front 4"),
    "B6 a dark camera": ("camera_health", {}, scored(dark_front=0.99), Decision.CLAMP, "dark:front"),
    "B6 a frozen camera that is required": (
        "camera_health", {"required": True}, scored(frozen_front=inf), Decision.REJECT, "frozen:front"),
    "B5 a required camera is gone": (
        "camera_health", {"required": True, "cameras": ["wrist"]}, {}, Decision.REJECT, "camera wrist"),
    "B5 another camera is gone": ("camera_health", {"cameras": ["wrist"]}, {}, Decision.CLAMP, "camera wrist"),
    "B5 stale scores": ("camera_health", {}, {"scores_age_s": 3.0}, Decision.CLAMP, "3.0 s old"),
    "B5 no scores at all, required": (
        "camera_health", {"required": True}, {"scores": {}}, Decision.REJECT, "No camera is scored"),
}  # fmt: skip


@pytest.mark.parametrize("row", CASES)
def test_each_fault_is_objected_to(row: str) -> None:
    name, params, change, decision, words = CASES[row]
    finding = make(name, **params).examine(replace(GOOD, **change))
    assert finding.decision is decision
    assert words in finding.reason
    assert finding.action is None


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joint_age", {"joint_age_s": 0.3}),
        ("heartbeat", {"embodiment_age_s": 3.0}),
        ("heartbeat", {"embodiment_age_s": -1.0}),
        ("task_timeout", {"run_s": 60.0}),
        ("temperature", told(temperature_c=(55.0,) * 3)),
        ("temperature", {"hardware_age_s": 3.0}),
        ("voltage", told(voltage_v=(11.0, 12.8, 12.0))),
        ("host_health", {"host": HostHealth()}),
        ("host_health", {"host": replace(HEALTHY, cpu_percent=100.0)}),
        ("ood", scored(ood=1.0)),
        ("ood", {"scores": {}}),
        ("camera_health", {"scores": {}}),
        ("camera_health", scored(frozen_front=3.0, ood=99.0)),
    ],
)
def test_exactly_at_the_border_passes(name: str, change: dict[str, Any]) -> None:
    assert make(name).examine(replace(GOOD, **change)) == Finding()


@pytest.mark.parametrize("name", JOINT_CHANNELS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((), "does not tell"),
        ((20.0, 20.0), "2 numbers"),
        ((20.0, 20.0, 20.0, 20.0), "4 numbers"),
        ((20.0, nan, 20.0), "lift: nan"),
        ((20.0, inf, 20.0), "lift: inf"),
    ],
)
def test_b7_a_declared_channel_that_is_missing_short_or_no_number_is_a_fault(
    name: str, change: tuple[float, ...], words: str
) -> None:
    levels = {
        "temperature": {},
        "current": {"warn_a": 50.0, "max_a": 50.0},
        "voltage": {"warn_above_v": 50.0, "max_v": 50.0},
    }
    finding = make(name, **levels[name]).examine(replace(GOOD, **told(**{JOINT_CHANNELS[name]: change})))
    assert finding.decision is Decision.FAULT and words in finding.reason


@pytest.mark.parametrize("name", HARDWARE)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hardware": None, "hardware_age_s": -1.0}, "has not told"),
        ({"hardware_age_s": 3.1}, "3.1 s ago"),
        ({"hardware_age_s": nan}, "nan s ago"),
    ],
)
def test_b7_b9_no_reading_or_an_old_one_is_a_fault(name: str, change: dict[str, Any], words: str) -> None:
    finding = make(name).examine(replace(GOOD, **change))
    assert finding.decision is Decision.FAULT and words in finding.reason
    assert CHECKS.load(name).escalates_to_emergency


def test_b7_a_joint_that_is_not_named_is_a_fault_and_the_order_of_names_does_not_matter() -> None:
    check = make("temperature")
    other = told(joint_names=("gripper", "lift", "pan"), temperature_c=(70.0, 40.0, 40.0))
    assert "gripper: 70" in check.examine(replace(GOOD, **other)).reason
    finding = check.examine(replace(GOOD, **told(joint_names=("pan", "lift", "jaw"))))
    assert finding.decision is Decision.FAULT and "gripper" in finding.reason


def test_b9_only_what_the_sensor_measures_is_declared() -> None:
    without_torque = replace(GOOD, **told(torque_nm=()))
    assert make("force_torque").examine(without_torque).decision is Decision.FAULT
    assert make("force_torque", channels="force").examine(without_torque) == Finding()
    without_force = replace(GOOD, **told(force_n=()))
    assert make("force_torque", channels="force").examine(without_force).decision is Decision.FAULT
    assert make("force_torque", channels="torque").examine(without_force) == Finding()


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("temperature", {"warn_c": 70.0}, "70 ≤ 65 °C does not hold"),
        ("voltage", {"min_v": 11.5}, "11.5 ≤ 11 ≤"),
        ("voltage", {"warn_below_v": 12.9}, "12.9 ≤ 12.8"),
        ("force_torque", {"max_torque_nm": 5.0}, "6 ≤ 5 Nm"),
        ("host_health", {"warn_memory_percent": 98.0}, "98 ≤ 97"),
        ("host_health", {"min_disk_free_mb": 501}, "501 ≤ 500"),
        ("host_health", {"required": ["gpu"]}, "no 'gpu'"),
        ("following_error", {"limits": [0.1, 0.2]}, "2 numbers for the 3 joints"),
        ("following_error", {"exclude": ["lfit"]}, "Did you mean 'lift'"),
        ("following_error", {"exclude": ["pan", "lift", "gripper"]}, "nothing is left"),
        ("frozen_sensor", {"exclude": ["pan", "lift", "gripper"]}, "nothing is left"),
    ],
)
def test_parameters_that_contradict_each_other_or_the_arm_are_refused(
    name: str, params: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        make(name, **params)
    assert words in str(refused.value)


def test_what_lasts_and_leaves_the_guard_blind_is_latched() -> None:
    latching = {name for name in MINE if CHECKS.load(name).escalates_to_emergency}
    assert latching == {"joint_age", "heartbeat", *HARDWARE}
    may_slow = {name for name in MINE if CHECKS.load(name).may_slow}
    assert may_slow == {"chunk_overlap", "ood", "camera_health", *HARDWARE}
    reactions = {name: CHECKS.load(name).reaction for name in MINE}
    assert reactions.pop("heartbeat") == EMERGENCY_STOP, "H3, H4, H5: only a person goes on after these"
    assert {name for name, each in reactions.items() if each == STOP} == {
        "teleport", "task_timeout", "following_error",
    }  # fmt: skip
    assert set(reactions.values()) == {STOP, HOLD}


def test_h1_a_node_that_slows_down_slows_at_the_warning_and_holds_at_the_limit() -> None:
    check = make("temperature", reject_at_warn=True)
    seat = Seat(check, "heat", "L3", SLOW_DOWN)
    warm = check.examine(replace(GOOD, **told(temperature_c=(56.0, 40.0, 40.0))))
    finding, trigger = seat.judge(warm)
    assert finding.decision is Decision.CLAMP and trigger is not None
    assert trigger.reaction == SLOW_DOWN and not trigger.is_latching
    for fault in (told(temperature_c=(66.0, 40.0, 40.0)), {"hardware": None}):
        finding, trigger = seat.judge(check.examine(replace(GOOD, **fault)))
        assert finding.decision is Decision.FAULT and trigger is not None
        assert trigger.reaction == HOLD and trigger.is_latching


# -- joints over time


class Run:
    """Cycles at 50 Hz of one check; joint states are received 100 times a second."""

    def __init__(self, name: str, body: Body = BODY, **params: Any) -> None:
        self.check = make(name, body, **params)
        self.now = replace(GOOD, now_s=0.0, run_s=0.02)

    def cycle(self, period_s: float = 0.02, **changes: Any) -> Finding:
        self.now = replace(
            self.now, now_s=self.now.now_s + period_s, run_s=self.now.run_s + period_s, **changes
        )
        return self.check.examine(self.now)

    def cycles(self, seconds: float, **changes: Any) -> list[Finding]:
        return [self.cycle(**changes) for _ in range(round(seconds / 0.02))]

    def until_objection(self, seconds: float, **changes: Any) -> float:
        """Seconds until the first objection; inf without one."""
        for index, finding in enumerate(self.cycles(seconds, **changes)):
            if finding.decision > Decision.PASS:
                return 0.02 * (index + 1)
        return inf


def test_b8_a_jump_is_a_fault_in_its_cycle_and_stops_the_run() -> None:
    run = Run("teleport")
    run.cycles(0.2)
    finding = run.cycle(measured=(0.9, 0.2, 0.3))
    assert finding.decision is Decision.FAULT and "pan was measured at 0.1 and now at 0.9" in finding.reason
    assert run.check.reaction == STOP
    assert run.cycle() == Finding(), "the new place is where it is from now on"


def test_b8_a_jump_back_is_one_too_and_a_state_that_is_as_fresh_as_can_be_is_judged() -> None:
    run = Run("teleport")
    run.cycle(joint_age_s=0.0)
    assert run.cycle(measured=(-0.9, 0.2, 0.3)).decision is Decision.FAULT


def test_b8_a_measurement_that_is_no_number_is_a_fault() -> None:
    run = Run("teleport")
    run.cycle()
    assert run.cycle(measured=(nan, 0.2, 0.3)).decision is Decision.FAULT


def test_b8_an_arm_at_full_speed_with_late_joint_states_is_no_teleport() -> None:
    """0.2 s of silence, in which it moved on at its limit; and joint states that come in pairs."""
    run = Run("teleport")
    run.cycle()
    assert run.cycle(0.2, measured=(0.1 + 3.0 * 0.2, 0.2, 0.3)) == Finding()
    position = run.now.measured[0]
    for index in range(20):
        position += 0.0 if index % 2 else 0.04 * 3.0
        assert run.cycle(measured=(position, 0.2, 0.3)) == Finding()


@given(st.lists(st.tuples(st.floats(0.005, 0.3), st.floats(-1.0, 1.0)), max_size=40))
def test_b8_no_movement_within_the_velocity_limits_is_a_teleport(steps: list[tuple[float, float]]) -> None:
    run = Run("teleport")
    place = HERE
    for time_s, share in steps:
        place = tuple(value + share * limit * time_s for value, limit in zip(place, LIMITS.max_velocity))
        assert run.cycle(time_s, measured=place, joint_age_s=0.0) == Finding()


def test_b8_nothing_runs_so_the_arm_may_be_anywhere_next() -> None:
    check = make("teleport")
    for index, place in enumerate((HERE, (2.0, 1.0, 0.0), HERE)):
        assert check.examine(replace(GOOD, run_s=0.0, now_s=100 + 0.02 * index, measured=place)) == Finding()
    # And a start finds it where it is.
    assert check.examine(replace(GOOD, run_s=0.02, now_s=100.08)) == Finding()


def test_h2_b4_an_arm_that_is_blocked_is_a_fault_after_the_window_and_holds_where_it_is() -> None:
    run = Run("following_error")
    run.cycles(0.2)
    blocked = {"previous_command": (0.4, 0.2, 0.3)}
    assert run.until_objection(2.0, **blocked) == pytest.approx(0.52)
    finding = run.cycle()
    assert finding.decision is Decision.FAULT and finding.hold_at_measured and "pan" in finding.reason
    assert run.check.reaction == STOP, "holding alone would go on to push again"


def test_h2_the_lag_that_is_allowed_grows_with_the_speed_in_either_direction() -> None:
    """0.5 rad behind at 3 rad/s is lag; at rest it is an obstacle."""
    for sign in (1.0, -1.0):
        behind = {"previous_command": (0.1 + sign * 0.5, 0.2, 0.3)}
        moving = Run("following_error")
        assert moving.until_objection(2.0, **behind, previous_velocity=(sign * 3.0, 0.0, 0.0)) == inf
        assert Run("following_error").until_objection(2.0, **behind) < 1.0


def test_b4_a_command_in_either_direction_shows_a_frozen_sensor() -> None:
    for sign in (1.0, -1.0):
        run = Run("frozen_sensor")
        run.cycles(0.1)
        assert run.until_objection(2.0, previous_command=(0.1 + sign * 0.5, 0.2, 0.3)) < 1.2


def test_h2_an_error_that_grows_or_swings_is_not_being_worked_off() -> None:
    for path in ((0.4, 0.6, 0.8), (0.4, 0.41, 0.39)):
        run = Run("following_error")
        run.cycles(0.2)
        found = [
            run.cycle(previous_command=(path[index * 3 // 40], 0.2, 0.3)).decision for index in range(40)
        ]
        assert Decision.FAULT in found


def test_h2_servo_lag_at_full_speed_and_catching_up_pass() -> None:
    """100 ms behind a command at 3 rad/s, then at rest; a first-order servo."""
    run = Run("following_error")
    command = measured = -1.9
    for index in range(120):
        speed = 3.0 if index < 60 else 0.0
        command += speed * 0.02
        measured += (command - measured) * 0.02 / 0.1
        assert (
            run.cycle(
                previous_command=(command, 0.2, 0.3),
                previous_velocity=(speed, 0.0, 0.0),
                measured=(measured, 0.2, 0.3),
            )
            == Finding()
        )


def test_h2_a_gripper_that_squeezes_is_excused_by_its_name_and_may_be_watched() -> None:
    squeezing = {"previous_command": (0.1, 0.2, -0.1), "measured": (0.1, 0.2, 0.9)}
    assert Run("following_error").until_objection(3.0, **squeezing) == inf
    assert Run("following_error", exclude=[]).until_objection(3.0, **squeezing) < 1.0
    left = replace(BODY, joint_names=("pan", "lift", "left_gripper"))
    assert Run("following_error", left).until_objection(3.0, **squeezing) == inf


def test_h2_limits_per_joint_and_in_another_unit() -> None:
    off = {"previous_command": (0.2, 0.4, 0.3)}
    assert Run("following_error").until_objection(2.0, **off) == inf
    run = Run("following_error", limits=[0.2, 0.1, 0.1])
    assert run.until_objection(2.0, **off) < 1.0 and "lift" in run.cycle().reason
    percent = replace(BODY, unit="normalized")
    with pytest.raises(InvalidInput, match="give limits"):
        make("following_error", percent)
    make("following_error", percent, limits=[10.0, 10.0, 10.0])


@pytest.mark.parametrize("name", ["following_error", "frozen_sensor"])
def test_while_nothing_runs_an_old_command_says_nothing(name: str) -> None:
    check = make(name)
    for index in range(200):
        command = (0.1 + 0.005 * index, 0.2, 0.3)
        now = replace(GOOD, run_s=0.0, now_s=100.0 + 0.02 * index, previous_command=command)
        assert check.examine(now) == Finding()
    # And a start begins its own window.
    assert check.examine(replace(now, run_s=0.02, now_s=now.now_s + 0.02)) == Finding()


@pytest.mark.parametrize("name", ["following_error", "frozen_sensor"])
def test_a_pause_in_the_cycles_starts_the_window_again(name: str) -> None:
    run = Run(name)
    run.cycles(0.1)
    off = {"previous_command": (0.5, 0.2, 0.3)}
    run.cycles(0.3, **off)
    assert run.cycle(5.0, **off) == Finding()
    assert run.until_objection(0.2) == inf


def test_b4_joints_that_say_the_same_while_the_arm_is_sent_on_are_frozen() -> None:
    run = Run("frozen_sensor")
    run.cycles(0.1)
    found = [run.cycle(previous_command=(0.1 + 0.002 * index, 0.2, 0.3)) for index in range(60)]
    first = next(i for i, finding in enumerate(found) if finding.decision > Decision.PASS)
    assert found[first].decision is Decision.FAULT and "pan was sent" in found[first].reason
    assert 0.85 < first * 0.02 < 1.05
    assert run.cycle(measured=(0.100001, 0.2, 0.3)) == Finding(), "one bit of life ends it"


def test_b4_an_arm_at_rest_or_a_gripper_on_an_object_is_not_frozen() -> None:
    assert Run("frozen_sensor").until_objection(5.0) == inf
    closing = Run("frozen_sensor")
    for index in range(200):
        assert closing.cycle(previous_command=(0.1, 0.2, 0.3 - 0.001 * index)) == Finding()


# -- the policy


def chunks(name: str, overlaps: list[float | None], **params: Any) -> list[Decision]:
    """Decision in each new chunk's first cycle and in its second."""
    check = make(name, **params)
    found = []
    for index, overlap in enumerate(overlaps):
        now = replace(GOOD, chunk_sequence=index + 1, overlap=overlap)
        found += [check.examine(now).decision, check.examine(now).decision]
    return found


def test_a16_chunks_that_contradict_the_plan_warn_and_are_rejected_from_the_second_in_a_row() -> None:
    warned = [Decision.CLAMP, Decision.PASS]
    rejected = [Decision.REJECT] * 2
    fine = [Decision.PASS] * 2
    assert chunks("chunk_overlap", [0.3, nan, inf, 0.07]) == warned + rejected * 3
    assert chunks("chunk_overlap", [0.3, 0.06, 0.3]) == warned + fine + warned
    assert chunks("chunk_overlap", [None, 0.3, None, 0.3]) == fine + warned + fine + warned
    assert chunks("chunk_overlap", [0.1, 0.1], max_share=0.09, in_row=1) == rejected * 2
    assert chunks("chunk_overlap", [0.1] * 3, in_row=3) == warned * 2 + rejected


def test_a16_a_plan_that_the_arm_could_not_follow_is_not_held_against_the_next() -> None:
    """While it goes slower the arm is behind its plan, so that each new plan begins elsewhere."""
    check = make("chunk_overlap", in_row=1)
    behind = replace(GOOD, overlap=0.3, proposed=(0.4, 0.3, 0.4))
    assert check.examine(behind).decision is Decision.REJECT
    assert check.examine(replace(behind, chunk_sequence=2)) == Finding()
    assert check.examine(replace(GOOD, chunk_sequence=2)) == Finding()
    assert check.examine(replace(GOOD, chunk_sequence=3, overlap=0.3)).decision is Decision.REJECT


def test_ood_counts_observations_not_cycles() -> None:
    check = make("ood", in_row=2)
    over = replace(GOOD, **scored(ood=2.0))
    assert [check.examine(over).decision for _ in range(3)] == [Decision.PASS] * 3
    assert check.examine(replace(over, chunk_sequence=2)).decision is Decision.REJECT
    assert check.examine(replace(over, chunk_sequence=2)).decision is Decision.REJECT
    assert check.examine(replace(GOOD, chunk_sequence=3)) == Finding()


def test_scores_that_a_policy_had_and_has_no_more_are_missed() -> None:
    for name in ("ood", "camera_health"):
        check = make(name)
        check.examine(GOOD)
        assert check.examine(replace(GOOD, scores={})).decision is Decision.CLAMP


@pytest.mark.parametrize("name", ["ood", "camera_health", "chunk_overlap"])
@pytest.mark.parametrize(
    ("fallback", "is_taken"),
    [("slow_down", True), ("hold_position", True), ("stop", False), ("emergency_stop", False)],
)
def test_a_guess_about_the_observation_may_slow_or_hold_and_never_more(
    name: str, fallback: str, is_taken: bool
) -> None:
    data = {"name": "strange", "nodes": [{"callback": name, "fallback": fallback}]}
    if is_taken:
        boundary_from_mapping(data)
    else:
        with pytest.raises(InvalidInput, match="too uncertain"):
            boundary_from_mapping(data)


def repeated(**changes: Any) -> list[Decision]:
    """Decisions of a policy that wants the same for five seconds, with a new chunk every half second."""
    run = Run("frozen_policy")
    found = []
    for index in range(250):
        now = {name: change(index) for name, change in changes.items()}
        found.append(run.cycle(chunk_sequence=1 + index // 25, **now).decision)
    return found


def test_a20_a_policy_that_wants_the_same_whatever_happens_is_warned_of_and_nothing_more() -> None:
    moving = repeated(measured=lambda index: (0.1 + 0.004 * index, 0.2, 0.3))
    assert set(moving) == {Decision.PASS, Decision.CLAMP}
    assert moving.index(Decision.CLAMP) * 0.02 == pytest.approx(3.0, abs=0.05)
    seeing = repeated(scores=lambda index: {"ood": Score("ood", 0.5 + 0.001 * (index // 25), 1.0)})
    assert set(seeing) == {Decision.PASS, Decision.CLAMP}


def test_a20_a_policy_that_stays_and_an_arm_that_arrives_pass() -> None:
    assert set(repeated()) == {Decision.PASS}
    arriving = repeated(measured=lambda index: (0.1 + min(0.01 * index, 0.5), 0.2, 0.3))
    assert set(arriving) == {Decision.PASS}
    wanting = repeated(proposed=lambda index: (0.1 + 1e-9 * (index // 25), 0.2, 0.3))
    assert set(wanting) == {Decision.PASS}


awkward = st.floats() | st.sampled_from([nan, inf, -inf, -1.0, 0.0, 1e308])
vectors = st.lists(awkward, max_size=4).map(tuple) | st.just(HERE)


@given(
    measured=vectors,
    command=vectors,
    velocity=vectors,
    channel=vectors,
    ages=st.tuples(*[awkward] * 6),
    overlap=st.none() | awkward,
    score=st.builds(Score, st.just("x"), awkward, awkward),
)
def test_whatever_arrives_no_check_raises_and_each_objection_has_a_reason(
    measured: tuple[float, ...],
    command: tuple[float, ...],
    velocity: tuple[float, ...],
    channel: tuple[float, ...],
    ages: tuple[float, ...],
    overlap: float | None,
    score: Score,
) -> None:
    strange = replace(
        GOOD,
        measured=measured,
        previous_command=command,
        previous_velocity=velocity,
        joint_age_s=ages[0],
        scores_age_s=ages[1],
        hardware_age_s=ages[2],
        host_age_s=ages[3],
        embodiment_age_s=ages[4],
        run_s=ages[5],
        overlap=overlap,
        chunk_sequence=2,
        scores={name: replace(score, name=name) for name in SCORES},
        hardware=HardwareReading(0, NAMES, channel, channel, channel, channel, channel),
        host=HostHealth(score.value, score.threshold, score.value, 1),
    )
    for name in MINE:
        check = make(name)
        check.examine(GOOD)
        for given_ in (strange, replace(strange, now_s=100.02)):
            finding = check.examine(given_)
            assert bool(finding.reason) == (finding.decision > Decision.PASS)
            assert finding.action is None
