# SPDX-License-Identifier: Apache-2.0
"""One contract for every check in the table, then each core check at its border."""

from dataclasses import fields, replace
from importlib.util import find_spec
from math import inf, isfinite, nan
from operator import add
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import HIGHER, LOWER, param_infos, params_from_mapping
from lerobot_arena.core.reaction import NAMES as REACTIONS
from lerobot_arena.core.reaction import SLOW_DOWN
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import boundary_from_mapping
from lerobot_arena.guard.chain import build_chain, make_check
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, JointLimits, Phase
from lerobot_arena.guard.checks.share_of_step import PathCheck
from lerobot_arena.guard.checks.table import CHECKS, CORE_CHECKS, MANDATORY_CHECKS
from lerobot_arena.guard.limiter import scale_step
from lerobot_arena.testing.check_examples import EXAMPLES, good_cycle, so101_body

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

ALL = list(CHECKS)
OPTIONAL = [name for name in ALL if name not in CORE_CHECKS]
LIMITERS = [name for name in CHECKS if CHECKS.load(name).phase is Phase.LIMIT]
NAMES = ("pan", "lift", "gripper")
LIMITS = JointLimits((-2.0, -1.0, 0.0), (2.0, 1.0, 1.5), (3.0, 3.0, 4.0), (30.0, 30.0, 60.0))
BODY = Body(NAMES, "radians", LIMITS)
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
    now_s=100.0,
    run_s=5.0,
    embodiment_age_s=0.2,
)


def example(name: str) -> Check:
    """A check as a boundary would have it, for an SO-101 with its geometry."""
    check: Check = make_check(name, EXAMPLES.get(name, {}), so101_body())
    return check


def core(name: str, **params: Any) -> Check:
    """A core check for three joints."""
    check: Check = make_check(name, params, BODY)
    return check


def test_every_optional_check_has_an_example() -> None:
    assert list(EXAMPLES) == OPTIONAL


@pytest.mark.parametrize("name", ALL)
def test_contract_identity(name: str) -> None:
    check = example(name)
    assert check.name == name and type(check) is CHECKS.load(name)
    assert check.layer in {"L0", "L1", "L2", "L3"}
    assert isinstance(check.phase, Phase) and check.reaction in REACTIONS
    assert (type(check).__doc__ or "").strip(), "say when it objects"


@pytest.mark.parametrize("name", ALL)
def test_contract_a_good_cycle_passes_untouched(name: str) -> None:
    check = example(name)
    assert check.examine(good_cycle()) == Finding()
    assert check.examine(good_cycle()) == Finding(), "nor does it wear off"


@pytest.mark.parametrize("name", ALL)
def test_contract_every_parameter_says_what_it_is(name: str) -> None:
    for key, (default, info) in param_infos(CHECKS.load(name).params_type).items():
        assert info.text.endswith("."), f"{key}: a sentence, please"
        assert info.tighter in {"", LOWER, HIGHER}
        if isinstance(default, float):
            assert info.lowest is not None, f"{key}: NaN and nonsense need a bound"


@pytest.mark.parametrize("name", ALL)
def test_contract_unusable_parameters_are_refused(name: str) -> None:
    params_type = CHECKS.load(name).params_type
    with pytest.raises(InvalidInput, match="Unknown parameter 'surely_not'"):
        make_check(name, {**EXAMPLES.get(name, {}), "surely_not": 1}, so101_body())
    for item in fields(params_type):
        info = item.metadata["param"]
        bad: list[Any] = ["three" if not isinstance(item.default, str) else 3, None]
        if isinstance(item.default, float):
            bad += [nan, inf, True, info.lowest - 1.0]
        if info.length or info.is_per_joint:
            bad += [[nan] * max(info.length, 6), [1.0], [True] * max(info.length, 6)]
        for value in bad:
            with pytest.raises(InvalidInput) as refused:
                make_check(name, {**EXAMPLES.get(name, {}), item.name: value}, so101_body())
            assert name in str(refused.value)


@pytest.mark.parametrize("name", OPTIONAL)
def test_contract_a_boundary_takes_it_and_its_reaction(name: str) -> None:
    check = CHECKS.load(name)
    node = {"callback": name, "params": EXAMPLES[name]}
    assert boundary_from_mapping({"name": "b", "nodes": [node]}).nodes[0].callback == name
    slower = {"name": "b", "nodes": [{**node, "fallback": SLOW_DOWN}]}
    if check.may_slow:
        assert boundary_from_mapping(slower).nodes[0].fallback == SLOW_DOWN
    else:
        with pytest.raises(InvalidInput, match="slowing down is no answer"):
            boundary_from_mapping(slower)


@pytest.mark.parametrize("name", ALL)
def test_contract_without_geometry_it_works_or_says_why_not(name: str) -> None:
    blind = replace(so101_body(), geometry=None, no_geometry_because="its model is lost")
    if CHECKS.load(name).needs_geometry:
        with pytest.raises(InvalidInput, match="its model is lost"):
            make_check(name, EXAMPLES.get(name, {}), blind)
    else:
        make_check(name, EXAMPLES.get(name, {}), blind)


BUILT = {name: example(name) for name in ALL}
anywhere = st.tuples(*[st.floats(-3, 3)] * 6)
speeds = st.tuples(*[st.floats(-4, 4)] * 6)


def cycles() -> st.SearchStrategy[CheckInput]:
    """Cycles of an SO-101 with anything wrong in them but the action's shape."""
    return st.builds(
        lambda **change: replace(good_cycle(), **change),
        proposed=anywhere | st.tuples(*[st.floats(-1e5, 1e5)] * 6),
        previous_command=anywhere,
        measured=anywhere,
        previous_velocity=speeds,
        previous_acceleration=st.just(()) | st.tuples(*[st.floats(-60, 60)] * 6),
        dt_s=st.floats(0.002, 0.4),
        joint_age_s=st.floats(-1, 5) | st.just(nan),
        action_age_s=st.floats(-1, 5),
        late_in_row=st.integers(0, 9),
        run_s=st.floats(0, 1e4),
        scores_age_s=st.floats(-1, 9),
        hardware_age_s=st.floats(-1, 9),
        host_age_s=st.floats(-1, 99),
        overlap=st.none() | st.floats(0, 9) | st.just(nan),
        chunk_sequence=st.integers(0, 9),
    )


@settings(max_examples=60)
@given(cycle=cycles())
def test_contract_every_objection_has_a_reason_and_only_a_limit_changes_the_action(cycle: CheckInput) -> None:
    for name, check in BUILT.items():
        finding = check.examine(cycle)
        assert bool(finding.reason) == (finding.decision > Decision.PASS), name
        if finding.action is not None:
            assert check.phase is Phase.LIMIT and finding.decision is Decision.CLAMP, name
            assert len(finding.action) == 6 and all(map(isfinite, finding.action)), name
        if check.phase is Phase.SENSE:
            check.examine(replace(cycle, proposed=None, is_waiting=True))


# As the core's velocity limit leaves them; beyond it, only whole steps are promised.
usual_steps = st.builds(
    lambda cycle, step: cycle.with_action(tuple(map(add, cycle.previous_command, step))),
    cycles(),
    st.tuples(*[st.floats(-0.2, 0.2)] * 6),
)


@settings(max_examples=60)
@given(cycle=usual_steps, share=st.floats(0, 1))
def test_contract_limits_leave_alone_what_they_made_and_anything_short_of_it(
    cycle: CheckInput, share: float
) -> None:
    """What lets them work after each other without contradiction."""
    for name in LIMITERS:
        check = BUILT[name]
        finding = check.examine(cycle)
        made = finding.action if finding.action is not None else cycle.action
        assert check.examine(cycle) == finding, f"{name} depends on more than its input"
        assert check.examine(cycle.with_action(made)) == Finding(), f"{name} changes its own output"
        for start, wanted, end in zip(cycle.previous_command, cycle.action, made):
            assert min(start, wanted) - 1e-9 <= end <= max(start, wanted) + 1e-9, f"{name} goes another way"
        shorter = scale_step(cycle.previous_command, made, share)
        again = check.examine(cycle.with_action(shorter)).action
        # A path is looked at in other places when it is shorter: what lay between two of them may come to light.
        assert again is None or isinstance(check, PathCheck) or again == pytest.approx(shorter, abs=1e-6), (
            f"{name} takes back what it allowed"
        )


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
    finding = core(name).examine(replace(GOOD, **change))
    assert finding.decision is decision
    assert words in finding.reason


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("joint_age", {"joint_age_s": 0.3}),
        ("pacing", {"late_in_row": 2}),
        ("action_age", {"action_age_s": 1.0}),
        ("action_present", {"proposed": None, "is_waiting": True}),
        ("finite", {"proposed": (5e-324, -0.0, 1e6)}),
        ("velocity", {"proposed": (0.16, 0.2, 0.3)}),
        ("acceleration", {"proposed": (0.112, 0.2, 0.3)}),
    ],
)
def test_exactly_at_the_border_passes(name: str, change: dict[str, Any]) -> None:
    assert core(name).examine(replace(GOOD, **change)) == Finding()


def test_degrees_sent_as_radians_are_rejected_after_five_in_a_row() -> None:
    check = core("unit_suspicion")
    degrees = replace(GOOD, proposed=(45.0, -30.0, 0.3))
    decisions = [check.examine(degrees).decision for _ in range(6)]
    assert decisions == [Decision.PASS] * 4 + [Decision.REJECT] * 2
    assert "another unit" in check.examine(degrees).reason
    check.examine(GOOD)
    assert check.examine(degrees).decision is Decision.PASS, "one plausible action starts the count again"


def test_a_gripper_pressed_beyond_its_stop_is_no_unit_suspicion() -> None:
    check = core("unit_suspicion")
    for _ in range(20):
        assert check.examine(replace(GOOD, proposed=(0.1, 0.2, -0.5))).decision is Decision.PASS


def test_a_position_clamp_touches_only_the_joint_at_its_end() -> None:
    close = replace(GOOD, previous_command=(1.999, 0.2, 0.3), proposed=(2.5, 0.21, 0.31))
    action = core("position_limits").examine(close).action
    assert action is not None and action[1:] == (0.21, 0.31) and 1.999 <= action[0] <= 2.0


@pytest.mark.parametrize(
    ("name", "params", "proposed", "allowed"),
    [
        ("position_limits", {"upper": [0.11, 1.0, 1.0]}, (0.15, 0.2, 0.3), 0.11),
        ("position_limits", {"lower": [0.1, -1.0, 0.0]}, (0.05, 0.2, 0.3), 0.1),
        ("velocity", {"max_velocity": [1.0, 9.0, 9.0]}, (0.13, 0.2, 0.3), 0.12),
        ("acceleration", {"max_acceleration": [15.0, 99.0, 99.0]}, (0.13, 0.2, 0.3), 0.106),
    ],
)
def test_a_boundary_narrows_the_robots_limits(
    name: str, params: dict[str, Any], proposed: tuple[float, ...], allowed: float
) -> None:
    action = core(name, **params).examine(replace(GOOD, proposed=proposed)).action
    assert action is not None and action[0] == pytest.approx(allowed)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("position_limits", {"lower": [-9.0] * 3, "upper": [9.0] * 3}),
        ("velocity", {"max_velocity": [99.0] * 3}),
        ("acceleration", {"max_acceleration": [999.0] * 3}),
    ],
)
def test_a_boundary_never_widens_them(name: str, params: dict[str, Any]) -> None:
    for change, _, _ in BAD[name]:
        cycle = replace(GOOD, **change)
        assert core(name, **params).examine(cycle) == core(name).examine(cycle) != Finding()


@pytest.mark.parametrize(
    ("name", "params", "words"),
    [
        ("position_limits", {"lower": [0.0, 0.0, 0.0], "upper": [1.0, 0.0, 1.0]}, "not below"),
        ("position_limits", {"lower": [2.5, 0.0, 0.0]}, "leave pan no range"),
        ("velocity", {"max_velocity": [1.0, 1.0]}, "2 numbers for the 3 joints pan, lift, gripper"),
        ("velocity", {"max_velocity": [1.0, 0.0, 1.0]}, "between"),
    ],
)
def test_limits_that_leave_no_range_are_refused(name: str, params: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        core(name, **params)


@pytest.mark.parametrize(
    "settings", [{"velocty": {}}, {"pacing": {"limit": 3}}, {"action_age": {"timeout_s": nan}}]
)
def test_a_wrong_check_or_parameter_is_refused_whole(settings: dict[str, dict[str, Any]]) -> None:
    with pytest.raises(InvalidInput) as refused:
        build_chain(settings, BODY)
    assert any(word in str(refused.value) for word in ("velocity", "late_limit", "timeout_s"))


def test_the_mandatory_checks_are_core_checks_without_parameters() -> None:
    assert set(CORE_CHECKS) >= MANDATORY_CHECKS
    for name in MANDATORY_CHECKS:
        assert not param_infos(CHECKS.load(name).params_type)
        assert params_from_mapping(CHECKS.load(name).params_type, {}) is not None
