# SPDX-License-Identifier: Apache-2.0
"""Checks that look at sensors, hardware, the task and the machine: each fault they own, and its border.

Ids of parametrized cases and names of tests begin with the row of the fault list that they are (A16, B4, H1 …).
"""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import HardwareReading, HostHealth, Score
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD, SLOW_DOWN, STOP
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.checks.protocol import Finding
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.seat import Seat
from lerobot_arena.testing.sensor_examples import (
    GOOD,
    HARDWARE,
    HEALTHY,
    HERE,
    JOINT_CHANNELS,
    MINE,
    NAMES,
    SCORES,
    make,
    scored,
    told,
)


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
