# SPDX-License-Identifier: Apache-2.0
"""A change that counts as no loosening allows nothing that was forbidden before: said case by case, and for any."""

import json
import re
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lerobot_arena.core.params import param_infos
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import Boundary, boundary_from_mapping
from lerobot_arena.guard.chain import make_check
from lerobot_arena.guard.checks.protocol import Phase
from lerobot_arena.guard.checks.table import CHECKS, CORE_CHECKS, MANDATORY_CHECKS
from lerobot_arena.guard.seat import Seat
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.tightening import loosening
from lerobot_arena.testing.check_examples import EXAMPLES, good_cycle, so101_body

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

BODY = so101_body()
GOOD = good_cycle()
BOX: dict[str, Any] = {"lower_m": [0.0, -0.4, 0.0], "upper_m": [0.4, 0.4, 0.4]}


def single(callback: str, params: Any = None, **node: Any) -> Boundary:
    entry = {"callback": callback, "params": params or EXAMPLES.get(callback, {}), **node}
    return boundary_from_mapping({"name": "b", "nodes": [entry]})


def phases(kind: str = "list", loop: bool = False, **change: dict[str, Any]) -> Boundary:
    """Three nodes; `change` is by node id."""
    nodes: list[dict[str, Any]] = [
        {"node_id": "reach", "callback": "workspace_box", "params": BOX},
        {"node_id": "lift", "callback": "workspace_box", "params": BOX, "enter_when": {"elapsed_s": 2.0}},
        {"node_id": "place", "callback": "workspace_box", "params": BOX, "enter_when": {"gripper": "open"}},
    ]
    if kind == "graph":
        nodes[0]["next"] = ["lift", "place"]
    if loop:
        nodes[0]["enter_when"] = {"elapsed_s": 9.0}
    nodes = [{**node, **change.get(node["node_id"], {})} for node in nodes]
    return boundary_from_mapping({"name": "b", "type": kind, "loop": loop, "nodes": nodes})


def test_what_is_new_or_the_same_allows_no_more() -> None:
    for wanted in shipped_config().boundaries:
        boundary = boundary_from_mapping(json.loads(wanted.config))
        assert loosening(None, boundary) == loosening(boundary, boundary) == ""
    assert loosening(None, None) == ""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (single("jerk"), None, "would be gone"),
        (single("jerk"), replace(single("jerk"), name="c"), "would be gone"),
        (single("jerk"), single("tilt"), "tilt in place of jerk"),
        (single("jerk"), phases(), "type or loop"),
        (phases(), phases(loop=True), "type or loop"),
        (phases(), phases("graph"), "type or loop"),
        (phases(), replace(phases(), nodes=phases().nodes[:2]), "its nodes"),
        (phases(), replace(phases(), nodes=phases().nodes[::-1]), "its nodes"),
        (phases(), phases(lift={"enter_when": {"elapsed_s": 1.0}}), "'lift': enter_when"),
        (phases("graph"), phases("graph", reach={"next": ["lift"]}), "'reach': enter_when or next"),
        (
            phases(),
            phases(place={"params": {**BOX, "upper_m": [0.4, 0.5, 0.4]}}),
            r"'place': upper_m \[0.4, 0.5, 0.4\] could",
        ),
        (single("task_speed", fallback="stop"), single("task_speed"), "hold_position is milder than stop"),
        (single("task_speed"), single("task_speed", fallback="slow_down"), "slow_down is milder"),
        (single("tilt"), single("tilt", warn_frames=2), "warn_frames 2"),
        (single("tilt", timeout_sec=5.0), single("tilt", timeout_sec=6.0), "timeout_sec 6"),
        (single("tilt", timeout_sec=5.0), single("tilt"), "timeout_sec 0"),
        (single("gripper_rule"), single("gripper_rule", {"allowed_command": "none"}), "'none' could allow"),
        (single("following_error"), single("following_error", {"exclude": ["wrist_roll"]}), "exclude"),
        (single("ood", {"required": True}), single("ood"), "required"),
        (single("jerk", {"max_jerk": [9.0] * 6}), single("jerk", {}), "max_jerk"),
        (single("jerk", {}), single("jerk", {"max_jerk": [9.0] * 6}), "max_jerk"),
        (single("temperature", {"max_c": 60.0}), single("temperature", {}), "max_c"),
    ],
)
def test_what_could_allow_more_is_named(old: Boundary, new: Boundary | None, words: str) -> None:
    assert re.search(words, loosening(old, new)), loosening(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (single("tilt"), single("tilt", timeout_sec=5.0)),
        (single("tilt", timeout_sec=5.0), single("tilt", timeout_sec=4.0)),
        (single("tilt", warn_frames=3), single("tilt", warn_frames=2)),
        (single("tilt"), single("tilt", fallback="emergency_stop")),
        (single("ood"), single("ood", {"required": True})),
        (phases(), phases(lift={"params": {**BOX, "upper_m": [0.4, 0.3, 0.4]}})),
        (single("tilt"), replace(single("tilt"), description="Hold the cup upright.", layer="L2")),
        (single("tilt"), single("tilt", node_id="cup")),
    ],
)
def test_what_allows_less_may_come_while_it_moves(old: Boundary, new: Boundary) -> None:
    assert loosening(old, new) == ""
    assert loosening(new, old) or (old.description, old.nodes[0].node_id) != (
        new.description,
        new.nodes[0].node_id,
    )


# For any numbers: what the changed check lets pass, the old one let pass too

HERE = GOOD.previous_command
PLACE = BODY.geometry.pose(HERE).position_m if BODY.geometry is not None else (0.0,) * 3
# A few millimetres above the table, and about to touch itself.
LOW = (0.666, -0.356, 0.886, 0.796, 1.571, 0.9)
FOLDED = (0.0, 0.5, 1.35, 1.3, 0.0, 0.5)
BOX_HERE = {
    "lower_m": ([value - 0.003 for value in PLACE], 0.002),
    "upper_m": ([value + 0.003 for value in PLACE], 0.002),
}
# Where the arm is, and numbers that such a step may or may not break: each with how far draws lie apart.
BORDER: dict[str, tuple[tuple[float, ...], dict[str, tuple[Any, float]]]] = {
    "position_limits": (HERE, {"lower": ([v - 0.01 for v in HERE], 0.008), "upper": ([v + 0.01 for v in HERE], 0.008)}),
    "velocity": (HERE, {"max_velocity": ([0.5] * 6, 0.3)}),
    "acceleration": (HERE, {"max_acceleration": ([10.0] * 6, 5.0)}),
    "jerk": (HERE, {"rise_time_s": (0.04, 0.02), "max_jerk": ([600.0] * 6, 200.0)}),
    "workspace_box": (HERE, BOX_HERE),
    "keep_out_sphere": (HERE, {"radius_m": (0.098, 0.004)}),
    "tilt": (HERE, {"max_tilt_rad": (0.49, 0.02)}),
    "end_effector_speed": (HERE, {"max_speed_m_s": (0.2, 0.1)}),
    "self_collision": (FOLDED, {"margin_m": (0.005, 0.005)}),
    "table_clearance": (LOW, {"margin_m": (0.006, 0.004)}),
    "task_workspace": (HERE, BOX_HERE),
    "task_speed": (HERE, {"max_norm": (1.0, 0.5), "max_joint_speed": (0.5, 0.3)}),
}  # fmt: skip
FIXED: dict[str, dict[str, Any]] = {
    "keep_out_sphere": {"centre_m": [PLACE[0], PLACE[1] + 0.1, PLACE[2]]},
    "tilt": {"direction": [0.0, 0.0, -1.0]},
}


def test_every_number_that_may_be_tightened_is_compared() -> None:
    for name in CHECKS:
        check = CHECKS.load(name)
        if name not in MANDATORY_CHECKS and check.phase in {Phase.LIMIT, Phase.JUDGE}:
            ways = {key for key, (_, info) in param_infos(check.params_type).items() if info.tighter}
            assert ways == set(BORDER.get(name, (HERE, {}))[1])


@st.composite
def changes(draw: st.DrawFn, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two sets of parameters: each parameter moves one way, a list by other amounts at each place."""
    before, after = dict(FIXED.get(name, {})), dict(FIXED.get(name, {}))
    for key, (base, spread) in BORDER[name][1].items():
        values = base if isinstance(base, list) else [base]
        low = [value + spread * draw(st.sampled_from([-1.0, 0.0, 0.5])) for value in values]
        high = [value + spread * draw(st.sampled_from([0.0, 0.5])) for value in low]
        pair = (low, high) if draw(st.booleans()) else (high, low)
        before[key], after[key] = pair if isinstance(base, list) else (pair[0][0], pair[1][0])
    return before, after


steps = st.builds(
    lambda scale, way: tuple(scale * value for value in way),
    st.sampled_from([0.0, 0.002, 0.01, 0.05]),
    st.tuples(*[st.floats(-1, 1)] * 6),
)


@pytest.mark.parametrize("name", list(BORDER))
@settings(max_examples=60)
@given(data=st.data(), step=steps, velocity=steps)
def test_no_loosening_lets_nothing_new_pass(
    name: str, data: st.DataObject, step: tuple[float, ...], velocity: tuple[float, ...]
) -> None:
    before, after = data.draw(changes(name))
    if loosening(single(name, before), single(name, after)):
        before, after = after, before
    assume(not loosening(single(name, before), single(name, after)))
    start = BORDER[name][0]
    cycle = replace(
        GOOD,
        previous_command=start,
        proposed=tuple(a + b for a, b in zip(start, step)),
        previous_velocity=tuple(value / GOOD.dt_s for value in velocity),
    )
    old, new = (make_check(name, params, BODY).examine(cycle) for params in (before, after))
    if new.decision == Decision.PASS:
        assert old.decision == Decision.PASS


def test_every_number_of_every_check_says_which_way_is_tighter() -> None:
    """Else no boundary with it could be tightened while it moves."""
    for name in (name for name in CHECKS if name not in CORE_CHECKS):
        for key, (default, info) in param_infos(CHECKS.load(name).params_type).items():
            if isinstance(default, float) or info.is_per_joint:
                assert info.tighter, f"{name}.{key}"


def test_debounce_and_time_only_grow_stricter() -> None:
    """warn_frames and timeout_sec as the seat really counts them."""
    check = make_check("tilt", {"direction": [0, 0, 1.0], "max_tilt_rad": 0.1}, BODY)
    patient, strict = (Seat(check, "b", "L1", timeout_s=limit) for limit in (0.0, 1.0))
    for run_s in (5.0, 7.0):
        cycle = replace(GOOD, run_s=run_s)
        outcomes = [seat.examine(cycle).decision for seat in (patient, strict)]
        assert outcomes[0] <= outcomes[1]
