# SPDX-License-Identifier: Apache-2.0
"""Checks on the arm's body and on the task, each at its border, on a real SO-101's geometry."""

from dataclasses import replace
from importlib.util import find_spec
from math import acos, dist, pi
from typing import Any

import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chain import make_check
from lerobot_arena.guard.checks.protocol import PASSED, TABLE, Body, Check, CheckInput, Pose
from lerobot_arena.guard.limiter import Vector, scale_step
from lerobot_arena.testing.check_examples import good_cycle, so101_body

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

BODY = so101_body()
GEOMETRY = BODY.geometry
assert GEOMETRY is not None
GOOD = good_cycle()
HERE = GOOD.previous_command
PLACE = GEOMETRY.pose(HERE).position_m
PAN, LIFT, ELBOW, FLEX, ROLL, JAW = range(6)


def make(name: str, body: Body = BODY, **params: Any) -> Check:
    check: Check = make_check(name, params, body)
    return check


def moved(start: Vector = HERE, **by: float) -> CheckInput:
    """A cycle that wants to move some joints of `start` by so much."""
    wanted = list(start)
    for joint, amount in by.items():
        wanted[BODY.joint_names.index(joint)] += amount
    return replace(GOOD, previous_command=start, proposed=tuple(wanted))


def place(joints: Vector) -> tuple[float, float, float]:
    assert GEOMETRY is not None
    return GEOMETRY.pose(joints).position_m


def around(low_x: float, high_x: float) -> dict[str, Any]:
    """A box that is only narrow in x."""
    return {"lower_m": [low_x, -1.0, -1.0], "upper_m": [high_x, 1.0, 1.0]}


# Workspace, sphere, tilt


def test_the_tool_stops_at_its_boxs_wall_on_the_policys_path() -> None:
    wall = PLACE[0] + 0.005
    check = make("workspace_box", **around(0.0, wall))
    cycle = moved(wrist_flex=-0.06, gripper=-0.05)
    finding = check.examine(cycle)
    assert finding.decision is Decision.CLAMP and "x" in finding.reason
    assert finding.action is not None
    x = place(finding.action)[0]
    assert wall - 0.001 <= x <= wall
    share = (finding.action[FLEX] - HERE[FLEX]) / -0.06
    assert finding.action[:JAW] == pytest.approx(scale_step(HERE, cycle.action, share)[:JAW])
    assert finding.action[JAW] == cycle.action[JAW], "the jaws do not move the tool's frame"
    assert check.examine(cycle.with_action(finding.action)) == PASSED


@pytest.mark.parametrize(
    ("axis", "joint", "by"), [("y", "shoulder_pan", 0.06), ("z", "shoulder_lift", -0.06)]
)
def test_each_of_its_walls_is_a_wall(axis: str, joint: str, by: float) -> None:
    index = "xyz".index(axis)
    end = place(moved(**{joint: by}).action)
    middle = (PLACE[index] + end[index]) / 2
    corners = {"lower_m": [-1.0] * 3, "upper_m": [1.0] * 3}
    corners["upper_m" if end[index] > PLACE[index] else "lower_m"][index] = middle
    finding = make("workspace_box", **corners).examine(moved(**{joint: by}))
    assert finding.action is not None and axis in finding.reason.split("workspace in ")[1]
    assert place(finding.action)[index] == pytest.approx(middle, abs=1e-3)


def test_from_outside_the_box_the_way_back_is_free_and_the_way_out_is_not() -> None:
    check = make("workspace_box", **around(PLACE[0] + 0.1, 1.0))
    assert check.examine(moved(wrist_flex=-0.05)) == PASSED, "nearer, though still outside"
    assert check.examine(moved(gripper=0.05)) == PASSED, "and the jaws were never the matter"
    out = check.examine(moved(wrist_flex=0.05))
    assert out.action is not None and out.action[FLEX] == HERE[FLEX]


def test_the_tool_does_not_enter_the_sphere_nor_pass_through_it() -> None:
    ahead = place(moved(shoulder_pan=0.06).action)
    middle = [(a + b) / 2 for a, b in zip(PLACE, ahead)]
    check = make("keep_out_sphere", centre_m=middle, radius_m=0.003)
    finding = check.examine(moved(shoulder_pan=0.06))
    assert finding.action is not None
    assert dist(place(finding.action), middle) == pytest.approx(0.003, abs=5e-4)
    assert dist(place(finding.action), PLACE) < dist(middle, PLACE)
    assert check.examine(moved(shoulder_pan=-0.06)) == PASSED


def test_from_inside_the_sphere_the_way_out_is_free() -> None:
    centre = list(place(moved(shoulder_pan=0.03).action))
    check = make("keep_out_sphere", centre_m=centre, radius_m=0.1)
    assert check.examine(moved(shoulder_pan=-0.06)) == PASSED
    assert check.examine(moved(shoulder_pan=0.02)).decision is Decision.CLAMP


def test_the_tool_tilts_as_far_as_allowed() -> None:
    assert GEOMETRY is not None
    tilt = acos(-GEOMETRY.pose(HERE).up[2])
    check = make("tilt", direction=[0, 0, -2.0], max_tilt_rad=tilt + 0.02)
    further = -0.06 if acos(-GEOMETRY.pose(moved(wrist_flex=-0.06).action).up[2]) > tilt else 0.06
    finding = check.examine(moved(wrist_flex=further))
    assert finding.action is not None
    assert acos(-GEOMETRY.pose(finding.action).up[2]) == pytest.approx(tilt + 0.02, abs=1e-3)
    assert check.examine(moved(wrist_flex=-further)) == PASSED


def test_a_tool_that_is_tilted_too_far_may_come_back() -> None:
    check = make("tilt", direction=[0, 0, 1.0], max_tilt_rad=0.5)
    outcomes = {check.examine(moved(wrist_flex=by)) == PASSED for by in (-0.05, 0.05)}
    assert outcomes == {True, False}


# Speed


def test_the_tool_is_slowed_to_its_speed_and_the_jaws_with_it() -> None:
    check = make("end_effector_speed", max_speed_m_s=0.2)
    cycle = moved(shoulder_pan=0.06, gripper=0.04)
    finding = check.examine(cycle)
    assert finding.action is not None
    speed = dist(PLACE, place(finding.action)) / GOOD.dt_s
    assert 0.19 <= speed <= 0.2 * (1 + 1e-9)
    share = (finding.action[PAN] - HERE[PAN]) / 0.06
    assert finding.action == pytest.approx(scale_step(HERE, cycle.action, share))
    assert check.examine(moved(shoulder_pan=0.01)) == PASSED
    assert check.examine(replace(moved(shoulder_pan=0.04), dt_s=0.06)) == PASSED, (
        "a longer step may be longer"
    )


def test_a_turning_wrist_is_no_moving_tool() -> None:
    check = make("end_effector_speed", max_speed_m_s=0.05)
    assert check.examine(moved(gripper=0.08)) == PASSED
    assert check.examine(moved(shoulder_pan=0.06)).decision is Decision.CLAMP


# Collision

# The jaws over a cube, a few millimetres above the table.
LOW = (0.666, -0.356, 0.886, 0.796, 1.571, 0.9)


def test_the_jaws_stop_above_the_table_and_may_still_close() -> None:
    assert GEOMETRY is not None
    start = LOW
    for margin_m in (0.0, 0.003, -0.004):
        check = make("table_clearance", margin_m=margin_m)
        finding = check.examine(moved(start, shoulder_lift=0.06, elbow_flex=0.06, gripper=-0.05))
        assert finding.action is not None and "table" in finding.reason
        gap = min(gap for (part, _), gap in GEOMETRY.near(finding.action).items() if part == TABLE)
        assert margin_m - 1e-9 <= gap <= margin_m + 0.001
        assert finding.action[JAW] < start[JAW] - 0.04
        assert check.examine(moved(start, shoulder_lift=-0.06)) == PASSED


def test_from_inside_the_table_every_part_may_only_rise() -> None:
    start = moved(LOW, shoulder_lift=0.1).action
    check = make("table_clearance")
    assert check.examine(moved(start, shoulder_lift=-0.05)) == PASSED
    deeper = check.examine(moved(start, shoulder_lift=0.05))
    assert deeper.action is not None and deeper.action[LIFT] == start[LIFT]


def test_the_arm_stops_before_it_touches_itself() -> None:
    assert GEOMETRY is not None
    check = make("self_collision", margin_m=0.002)
    joints, finding = (0.0, -1.2, 1.2, 0.9, 0.1, 0.5), PASSED
    for _ in range(200):
        cycle = moved(joints, elbow_flex=0.02, wrist_flex=0.02)
        finding = check.examine(cycle)
        if finding != PASSED:
            break
        joints = cycle.action
    assert finding.action is not None and " and " in finding.reason
    gaps = [gap for (part, _), gap in GEOMETRY.near(finding.action).items() if part != TABLE]
    assert 0.002 - 1e-9 <= min(gaps) <= 0.005
    assert check.examine(moved(finding.action, elbow_flex=-0.02, wrist_flex=-0.02)) == PASSED


@pytest.mark.parametrize("wrist", [0.5, 0.8])
def test_an_arm_folded_for_a_rest_comes_out_of_it(wrist: float) -> None:
    """Folded as far as its joints go, the hulls of forearm and shoulder overlap by a centimetre."""
    assert GEOMETRY is not None
    checks = [make(name) for name in ("self_collision", "table_clearance")]
    joints: Vector = (0.0, -1.745, 1.69, wrist, 0.0, 0.0)
    assert min(GEOMETRY.near(joints).values()) < -0.01
    for _ in range(70):
        cycle = replace(GOOD, previous_command=joints)
        way = max(abs(b - a) for a, b in zip(joints, HERE))
        cycle = cycle.with_action(scale_step(joints, HERE, min(1.0, 0.02 / way)) if way else HERE)
        for check in checks:
            assert check.examine(cycle) == PASSED
        joints = cycle.action
    assert joints == pytest.approx(HERE)


def test_the_table_is_no_part_of_the_arm_and_the_arm_none_of_the_table() -> None:
    assert GEOMETRY is not None
    into_the_table = moved(LOW, shoulder_lift=0.06, gripper=-0.5)
    assert min(GEOMETRY.near(into_the_table.action).values()) < 0.0
    assert make("self_collision").examine(into_the_table) == PASSED
    folded = moved((0.0, 0.5, 1.4, 1.65, 0.0, 0.5), elbow_flex=0.29)
    assert min(GEOMETRY.near(folded.action).values()) < 0.0
    assert make("table_clearance").examine(folded) == PASSED


# The task


def test_an_action_out_of_the_tasks_workspace_is_rejected() -> None:
    check = make("task_workspace", **around(0.0, PLACE[0] + 0.005))
    finding = check.examine(moved(wrist_flex=-0.06))
    assert finding.decision is Decision.REJECT and finding.action is None and "x by" in finding.reason
    assert check.examine(moved(wrist_flex=-0.02)) == PASSED


def test_an_arm_out_of_the_tasks_workspace_may_come_back_but_not_stay() -> None:
    check = make("task_workspace", **around(PLACE[0] + 0.1, 1.0))
    assert check.examine(moved(wrist_flex=-0.05)) == PASSED
    assert check.examine(moved(wrist_flex=0.05)).decision is Decision.REJECT
    assert check.examine(moved()).decision is Decision.REJECT


@pytest.mark.parametrize(
    ("params", "by", "words"),
    [
        ({"max_joint_speed": 2.0}, {"shoulder_pan": 0.0401}, "shoulder_pan moves at 2"),
        ({"max_joint_speed": 2.0}, {"shoulder_pan": -0.04, "elbow_flex": 0.04}, ""),
        ({"max_norm": 2.0}, {"shoulder_pan": 0.03, "elbow_flex": 0.03}, "together"),
        ({"max_norm": 2.0}, {"shoulder_pan": 0.028, "elbow_flex": 0.028}, ""),
        ({}, {"shoulder_pan": 0.5}, ""),
    ],
)
def test_a_task_has_its_own_speed(params: dict[str, float], by: dict[str, float], words: str) -> None:
    finding = make("task_speed", **params).examine(moved(**by))
    assert (finding.decision is Decision.REJECT) == bool(words)
    assert words in finding.reason


@pytest.mark.parametrize(
    ("allowed", "by", "is_kept"),
    [("close", -0.05, False), ("close", 0.05, True), ("open", 0.05, False), ("open", -0.05, True),
     ("none", 0.05, True), ("none", -0.05, True), ("none", 0.0, False)],
)  # fmt: skip
def test_the_gripper_keeps_still_where_its_motion_is_not_allowed(
    allowed: str, by: float, is_kept: bool
) -> None:
    cycle = moved(gripper=by, shoulder_pan=0.02)
    finding = make("gripper_rule", allowed_command=allowed).examine(cycle)
    assert (finding.decision is Decision.CLAMP) == is_kept
    if is_kept:
        assert finding.action == (*cycle.action[:JAW], HERE[JAW]), "and the arm goes on"


def test_the_gripper_rule_holds_in_its_zone_alone() -> None:
    zone = {"zone_lower_m": [v - 0.02 for v in PLACE], "zone_upper_m": [v + 0.02 for v in PLACE]}
    check = make("gripper_rule", allowed_command="none", **zone)
    assert check.examine(moved(gripper=0.05)).decision is Decision.CLAMP
    assert check.examine(moved(gripper=0.05, shoulder_pan=0.3)) == PASSED, "that is outside"


def test_a_gripper_that_closes_upwards_is_understood() -> None:
    body = replace(BODY, opening=(0.0,) * 5 + (-1.0,))
    check = make("gripper_rule", body, allowed_command="close")
    assert check.examine(moved(gripper=0.05)) == PASSED
    assert check.examine(moved(gripper=-0.05)).decision is Decision.CLAMP


def test_without_a_model_a_gripper_is_known_by_its_name() -> None:
    blind = replace(BODY, geometry=None, opening=())
    assert make("gripper_rule", blind).examine(moved(gripper=0.05)).decision is Decision.CLAMP
    with pytest.raises(InvalidInput, match="zone needs the arm's geometry"):
        make("gripper_rule", blind, zone_lower_m=[0, 0, 0], zone_upper_m=[1, 1, 1])
    with pytest.raises(InvalidInput, match="no gripper"):
        make("gripper_rule", replace(blind, joint_names=tuple("abcdef")))


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("workspace_box", {}, "both corners"),
        ("workspace_box", {"lower_m": [0, 0, 0]}, "both corners"),
        ("workspace_box", {"lower_m": [0, 0, 0], "upper_m": [1, 0, 1]}, "not below"),
        ("workspace_box", {"lower_m": [0, 0], "upper_m": [1, 1, 1]}, "needs 3"),
        ("task_workspace", {"lower_m": [1, 1, 1], "upper_m": [0, 0, 0]}, "not below"),
        ("keep_out_sphere", {}, "centre_m"),
        ("keep_out_sphere", {"centre_m": [0, 0, 0], "radius_m": 0.0}, "between"),
        ("tilt", {}, "direction"),
        ("tilt", {"direction": [0, 0, 0]}, "direction"),
        ("tilt", {"direction": [0, 0, 1], "max_tilt_rad": pi + 0.1}, "between"),
        ("gripper_rule", {"allowed_command": "squeeze"}, "close, open, none"),
        ("gripper_rule", {"zone_lower_m": [0, 0, 0]}, "both corners"),
        ("self_collision", {"margin_m": 0.5}, "between"),
    ],
)
def test_rules_that_make_no_sense_are_refused(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        make(name, **params)


def test_a_check_shares_no_state_with_the_geometry_it_asks() -> None:
    """A model of two cases: what is asked for is what is answered."""

    class Flat:
        moves_tool = (True,) * 6

        def pose(self, joints_rad: Vector) -> Pose:
            return Pose((joints_rad[PAN], 0.0, 0.0), (0.0, 0.0, 1.0))

        def near(self, joints_rad: Vector) -> dict[tuple[str, str], float]:
            return {}

    check = make("workspace_box", replace(BODY, geometry=Flat()), **around(-0.02, 0.02))
    action = check.examine(moved(shoulder_pan=0.05)).action
    assert action is not None and action[PAN] == pytest.approx(0.02, abs=1e-3)
