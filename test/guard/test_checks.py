# SPDX-License-Identifier: Apache-2.0
"""One contract for every check in the table, then each check at its border."""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import param_infos
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chain import build_chain
from lerobot_arena.guard.checks.protocol import Check, CheckInput, Finding, JointLimits, Phase
from lerobot_arena.guard.checks.table import CHECKS

NAMES = ("pan", "lift", "gripper")
LIMITS = JointLimits((-2.0, -1.0, 0.0), (2.0, 1.0, 1.5), (3.0, 3.0, 4.0), (30.0, 30.0, 60.0))
HERE = (0.1, 0.2, 0.3)
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
)


def make(name: str, **params: Any) -> Check:
    check_type = CHECKS.load(name)
    check: Check = check_type(check_type.params_type(**params))
    return check


@pytest.fixture(params=list(CHECKS))
def check(request: pytest.FixtureRequest) -> Check:
    return make(request.param)


def test_contract_identity(check: Check) -> None:
    assert check.name in CHECKS and type(check) is CHECKS.load(check.name)
    assert check.layer in {"L0", "L1", "L2", "L3"}
    assert isinstance(check.phase, Phase)
    assert param_infos(check.params_type) is not None
    assert (type(check).__doc__ or "").strip(), "say when it objects"


def test_contract_a_good_cycle_passes_untouched(check: Check) -> None:
    assert check.examine(GOOD) == Finding()


@given(
    proposed=st.tuples(*[st.floats(-1e5, 1e5)] * 3),
    joint_age_s=st.floats(-1, 5),
    action_age_s=st.floats(-1, 5),
    late=st.integers(0, 9),
    velocity=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_contract_every_objection_has_a_reason_and_only_a_limit_changes_the_action(
    proposed: tuple[float, ...],
    joint_age_s: float,
    action_age_s: float,
    late: int,
    velocity: tuple[float, ...],
) -> None:
    given_ = replace(
        GOOD,
        proposed=proposed,
        joint_age_s=joint_age_s,
        action_age_s=action_age_s,
        late_in_row=late,
        previous_velocity=velocity,
    )
    for name in CHECKS:
        each = make(name)
        finding = each.examine(given_)
        assert bool(finding.reason) == (finding.decision > Decision.PASS)
        if finding.action is not None:
            assert each.phase is Phase.LIMIT and finding.decision is Decision.CLAMP
            assert len(finding.action) == 3


def test_contract_sense_checks_need_no_action() -> None:
    for name in CHECKS:
        check = make(name)
        if check.phase is Phase.SENSE:
            check.examine(replace(GOOD, proposed=None, is_waiting=True))


BAD: dict[str, list[tuple[dict[str, Any], Decision, str]]] = {
    "joint_age": [
        ({"joint_age_s": 0.31}, Decision.FAULT, "0.31 s old"),
        ({"joint_age_s": -1.0, "measured": ()}, Decision.FAULT, "No joint state"),
        ({"joint_age_s": nan}, Decision.FAULT, "joint state"),
        ({"joint_age_s": 0.5, "joint_refusal": "pan twice"}, Decision.FAULT, "pan twice"),
        ({"measured": (0.1, 0.2)}, Decision.FAULT, "joint state"),
    ],
    "single_publisher": [({"foreign_publishers": ("/evil/node",)}, Decision.FAULT, "/evil/node")],
    "pacing": [({"late_in_row": 3}, Decision.FAULT, "3 times in a row")],
    "action_present": [
        ({"proposed": None, "absence": "Inference is silent."}, Decision.REJECT, "silent"),
        ({"proposed": None}, Decision.REJECT, "no action"),
    ],
    "action_age": [
        ({"action_age_s": 1.01}, Decision.REJECT, "1.01 s old"),
        ({"action_age_s": -0.01}, Decision.REJECT, "old"),
        ({"action_age_s": nan}, Decision.REJECT, "old"),
    ],
    "shape_names": [
        ({"proposed": (0.1, 0.2)}, Decision.REJECT, "2 values for 3"),
        ({"proposed": (0.1, 0.2, 0.3, 0.4)}, Decision.REJECT, "4 values for 3"),
        ({"proposed": ()}, Decision.REJECT, "0 values"),
        ({"proposed": (0.1, True, 0.3)}, Decision.REJECT, "bool"),
        ({"proposed": (0.1, "0.2", 0.3)}, Decision.REJECT, "str"),
        ({"proposed": [0.1, 0.2, 0.3]}, Decision.REJECT, "list"),
        ({"proposed_names": ("pan", "lift", "jaw")}, Decision.REJECT, "jaw"),
        ({"proposed_names": ("lift", "pan", "gripper")}, Decision.REJECT, "lift, pan"),
        ({"proposed_names": ("pan", "pan", "gripper")}, Decision.REJECT, "pan, pan"),
        ({"proposed_names": ()}, Decision.REJECT, "(none)"),
    ],
    "finite": [
        ({"proposed": (0.1, nan, 0.3)}, Decision.REJECT, "lift=nan"),
        ({"proposed": (inf, 0.2, 0.3)}, Decision.REJECT, "pan=inf"),
        ({"proposed": (0.1, 0.2, -inf)}, Decision.REJECT, "gripper=-inf"),
        ({"proposed": (1e308, 0.2, 0.3)}, Decision.REJECT, "pan=1e+308"),
    ],
    "position_limits": [({"proposed": (2.5, 0.2, 0.3)}, Decision.CLAMP, "pan")],
    "velocity": [({"proposed": (0.3, 0.2, 0.3)}, Decision.CLAMP, "30%")],
    "acceleration": [({"proposed": (0.15, 0.2, 0.3)}, Decision.CLAMP, "softened")],
}
CASES = [(name, *case) for name, cases in BAD.items() for case in cases]


@pytest.mark.parametrize(("name", "change", "decision", "words"), CASES)
def test_each_check_objects_to_its_fault_alone(
    name: str, change: dict[str, Any], decision: Decision, words: str
) -> None:
    finding = make(name).examine(replace(GOOD, **change))
    assert finding.decision is decision
    assert words in finding.reason


def test_every_check_has_a_border_here() -> None:
    assert set(BAD) | {"unit_suspicion"} == set(CHECKS)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joint_age", {"joint_age_s": 0.3}),
        ("pacing", {"late_in_row": 2}),
        ("action_age", {"action_age_s": 1.0}),
        ("action_present", {"proposed": None, "is_waiting": True}),
        ("finite", {"proposed": (5e-324, -0.0, 1e6)}),
    ],
)
def test_exactly_at_the_border_passes(name: str, change: dict[str, Any]) -> None:
    assert make(name).examine(replace(GOOD, **change)) == Finding()


def test_degrees_sent_as_radians_are_rejected_after_five_in_a_row() -> None:
    check = make("unit_suspicion")
    degrees = replace(GOOD, proposed=(45.0, -30.0, 0.3))
    decisions = [check.examine(degrees).decision for _ in range(6)]
    assert decisions == [Decision.PASS] * 4 + [Decision.REJECT] * 2
    assert "another unit" in check.examine(degrees).reason
    check.examine(GOOD)
    assert check.examine(degrees).decision is Decision.PASS, "one plausible action starts the count again"


def test_a_gripper_pressed_beyond_its_stop_is_no_unit_suspicion() -> None:
    check = make("unit_suspicion")
    for _ in range(20):
        assert check.examine(replace(GOOD, proposed=(0.1, 0.2, -0.5))).decision is Decision.PASS


def test_a_position_clamp_touches_only_the_joint_at_its_end() -> None:
    close = replace(GOOD, previous_command=(1.999, 0.2, 0.3), proposed=(2.5, 0.21, 0.31))
    action = make("position_limits").examine(close).action
    assert action is not None and action[1:] == (0.21, 0.31) and 1.999 <= action[0] <= 2.0


@pytest.mark.parametrize(
    "settings", [{"velocty": {}}, {"pacing": {"limit": 3}}, {"action_age": {"timeout_s": nan}}]
)
def test_a_wrong_check_or_parameter_is_refused_whole(settings: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_chain(settings)
    assert (
        "velocity" in str(refused.value)
        or "late_limit" in str(refused.value)
        or "timeout_s" in str(refused.value)
    )
