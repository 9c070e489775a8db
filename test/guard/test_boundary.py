# SPDX-License-Identifier: Apache-2.0
"""Boundaries and tasks as people write them: what is wrong is refused whole, and says how to mend it (faults E1-E4)."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.reaction import NAMES as REACTIONS
from lerobot_arena.core.reaction import RETREAT, SLOW_DOWN
from lerobot_arena.guard.boundary import (
    MOST_NODES,
    Boundary,
    boundary_from_json,
    boundary_from_mapping,
    successors,
)
from lerobot_arena.guard.boundary_set import BoundarySet, fit
from lerobot_arena.guard.checks.protocol import Body, Geometry, JointLimits, Pose
from lerobot_arena.guard.checks.table import CHECKS, MANDATORY_CHECKS
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.task import TaskLimits, task_from_json, task_from_mapping

BODY = Body(("pan", "gripper"), "radians", JointLimits((-2.0, 0.0), (2.0, 1.0), (3.0, 3.0), (30.0, 30.0)))


class Rail(Geometry):
    """An arm whose tool lies at x = pan."""

    moves_tool = (True, False)

    def pose(self, joints_rad: Vector) -> Pose:
        return Pose((joints_rad[0], 0.0, 0.0), (0.0, 0.0, 1.0))

    def near(self, joints_rad: Vector) -> dict[tuple[str, str], float]:
        return {}


SEEING = replace(BODY, geometry=Rail())


def node(node_id: str = "default", callback: str = "jerk", **more: Any) -> dict[str, Any]:
    return {"node_id": node_id, "callback": callback, **more}


def boundary(*nodes: dict[str, Any], **more: Any) -> Boundary:
    return boundary_from_mapping({"name": "b", "nodes": list(nodes) or [node()], **more})


def test_the_least_that_is_a_boundary() -> None:
    read = boundary_from_mapping({"name": "b", "nodes": [{"callback": "jerk"}]})
    assert (read.type, read.layer, read.loop) == ("single", "", False)
    only = read.nodes[0]
    assert (only.node_id, only.fallback, only.timeout_sec, only.warn_frames) == ("default", "", 0.0, 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "must be a mapping"),
        ([], "must be a mapping"),
        ({}, "name must be"),
        ({"name": "a/b", "nodes": [node()]}, "without '/'"),
        ({"name": " b", "nodes": [node()]}, "outer spaces"),
        ({"name": "x" * 65, "nodes": [node()]}, "1 to 64"),
        ({"name": "b"}, "nodes must be a list"),
        ({"name": "b", "nodes": []}, "nodes must be a list"),
        ({"name": "b", "nodes": "jerk"}, "nodes must be a list"),
        ({"name": "b", "nodes": [node()] * (MOST_NODES + 1)}, "1 to 32"),
        ({"name": "b", "nodes": [node()], "tpye": "list"}, "Did you mean 'type'"),
        ({"name": "b", "nodes": [node()], "type": "lists"}, "Did you mean 'list'"),
        ({"name": "b", "nodes": [node()], "layer": "L5"}, "layer is 'L5'"),
        ({"name": "b", "nodes": [node()], "loop": 1}, "true or false"),
        ({"name": "b", "nodes": [node()], "loop": True}, "only a list can loop"),
        ({"name": "b", "nodes": [node()], "description": 3}, "must be a text"),
        ({"name": "b", "nodes": [node(), node("x")]}, "a single boundary has one node"),
        ({"name": "b", "type": "list", "nodes": [node(), node()]}, "same node_id"),
        ({"name": "b", "type": "list", "nodes": [node("a"), node("b")]}, "'b': say in enter_when"),
        ({"name": "b", "nodes": [{"params": {}}]}, "name its check in callback"),
        ({"name": "b", "nodes": [node(calback="jerk")]}, "Did you mean 'callback'"),
        ({"name": "b", "nodes": [node(callback="joint_velocity")]}, "no guard check 'joint_velocity'"),
        ({"name": "b", "nodes": [node(callback="workspce_box")]}, "Did you mean 'workspace_box'"),
        ({"name": "b", "nodes": [node(callback="finite")]}, "always there"),
        ({"name": "b", "nodes": [node(params={"rise_time": 1.0})]}, "Did you mean 'rise_time_s'"),
        ({"name": "b", "nodes": [node(params={"rise_time_s": float("nan")})]}, "must be a float"),
        ({"name": "b", "nodes": [node(params={"rise_time_s": -1.0})]}, "between"),
        ({"name": "b", "nodes": [node(params=[1])]}, "params must be a mapping"),
        ({"name": "b", "nodes": [node(fallback="hold_positon")]}, "Did you mean 'hold_position'"),
        ({"name": "b", "nodes": [node(fallback="slow_down")]}, "slowing down is no answer to jerk"),
        ({"name": "b", "nodes": [node(warn_frames=0)]}, "warn_frames must be a whole number"),
        ({"name": "b", "nodes": [node(warn_frames=True)]}, "warn_frames must be a whole number"),
        ({"name": "b", "nodes": [node(timeout_sec=-1)]}, "timeout_sec must be a number"),
        ({"name": "b", "nodes": [node(timeout_sec=float("inf"))]}, "timeout_sec must be a number"),
        ({"name": "b", "nodes": [node(next=["a"])]}, "for graphs"),
        ({"name": "b", "type": "graph", "nodes": [node("a", next=["c"])]}, "no node of it. Nodes: a"),
        ({"name": "b", "nodes": [node(enter_when={})]}, "says nothing"),
        ({"name": "b", "nodes": [node(enter_when={"elapsed": 1})]}, "Did you mean 'elapsed_s'"),
        ({"name": "b", "nodes": [node(enter_when={"gripper": "shut"})]}, "open, closed"),
        ({"name": "b", "nodes": [node(enter_when={"inside_lower_m": [0, 0, 0]})]}, "inside_lower_m below"),
        (
            {"name": "b", "nodes": [node(enter_when={"inside_lower_m": [0, 0, 0], "inside_upper_m": [1, 0, 1]})]},
            "inside_lower_m below",
        ),
        (
            {"name": "b", "nodes": [node(enter_when={"inside_lower_m": [0, 0], "inside_upper_m": [1, 1, 1]})]},
            "3 finite numbers",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_whole_and_named(data: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        boundary_from_mapping(data)


@pytest.mark.parametrize("text", ["", "{", "[1", '{"name": "b", "nodes": [', "NaN", '"b"', " " * 70_000])
def test_half_a_file_is_no_boundary(text: str) -> None:
    with pytest.raises(InvalidInput):
        boundary_from_json(text)
    with pytest.raises(InvalidInput):
        task_from_json(text)


scalars = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "nodes", "callback", "params", "next", "type"]), inner)
    ),
    max_leaves=12,
)


@given(
    data=anything,
    near=st.sampled_from(["nodes", "params", "enter_when", "next", "fallback", "layer", "name"]),
)
def test_nothing_that_is_written_raises_anything_else(data: Any, near: str) -> None:
    """A person's mistake is an InvalidInput, never a defect of ours."""
    wrong: dict[str, Any] = {"name": "b", "nodes": [node()]}
    if near in {"nodes", "layer", "name"}:
        wrong[near] = data
    else:
        wrong["nodes"][0][near] = data
    for content in (data, wrong):
        try:
            read = boundary_from_mapping(content)
        except InvalidInput as error:
            assert str(error)
        else:
            assert boundary_from_mapping(read.mapping()) == read


def test_every_reaction_and_check_can_be_named() -> None:
    for reaction in REACTIONS:
        if reaction != SLOW_DOWN:
            assert boundary(node(fallback=reaction)).nodes[0].fallback == reaction
    assert not MANDATORY_CHECKS & {"velocity", "position_limits", "acceleration"}
    assert boundary(node(callback="velocity")).nodes[0].callback == "velocity"


# Which node is active


def phases(**more: Any) -> Boundary:
    return boundary(
        node("reach"),
        node("lift", enter_when={"elapsed_s": 2.0}),
        node("place", enter_when={"gripper": "open", "inside_lower_m": [0.5, -1, -1], "inside_upper_m": [1, 1, 1]}),
        type="list",
        **more,
    )  # fmt: skip


def test_a_list_goes_from_node_to_node_and_stays_at_the_last() -> None:
    active = BoundarySet([phases()], SEEING)
    assert active.names == ("b.reach",)
    assert not active.advance(1.9, (0.0, 0.0))
    assert active.advance(2.0, (0.0, 0.0)) and active.names == ("b.lift",)
    assert not active.advance(9.0, (0.7, 0.5)), "the gripper is neither open nor closed"
    assert not active.advance(9.1, (0.4, 1.0)), "not there yet"
    assert active.advance(9.2, (0.7, 1.0)) and active.names == ("b.place",)
    assert not active.advance(99.0, (0.0, 0.0))


def test_a_loop_begins_again() -> None:
    looped = boundary(
        node("one", enter_when={"elapsed_s": 1.0}),
        node("two", enter_when={"elapsed_s": 1.0}),
        type="list",
        loop=True,
    )
    active = BoundarySet([looped], BODY)
    seen = []
    for second in range(5):
        active.advance(float(second), (0.0, 0.0))
        seen += active.names
    assert seen == ["b.one", "b.two", "b.one", "b.two", "b.one"]


def test_a_graph_goes_where_its_edges_lead() -> None:
    graph = boundary(
        node("start", enter_when={"elapsed_s": 5.0}, next=["left", "right"]),
        node("left", enter_when={"gripper": "closed"}, next=["start"]),
        node("right", enter_when={"gripper": "open"}),
        type="graph",
    )
    assert [n.node_id for n in successors(graph, graph.nodes[0])] == ["left", "right"]
    active = BoundarySet([graph], BODY)
    active.advance(0.0, (0.0, 0.5))
    assert active.names == ("b.start",)
    active.advance(1.0, (0.0, 0.1))
    assert active.names == ("b.left",)
    active.advance(2.0, (0.0, 0.9))
    assert active.names == ("b.left",), "left leads back to start alone"
    active.advance(6.0, (0.0, 0.9))
    active.advance(7.0, (0.0, 0.9))
    assert active.names == ("b.right",)


def test_a_seat_speaks_under_its_boundarys_name_layer_and_reaction() -> None:
    one = BoundarySet([boundary(node(fallback=RETREAT, warn_frames=4, timeout_sec=9.0), layer="L3")], BODY)
    (seat,) = one.seats()
    assert (seat.name, seat.layer, seat.reaction, seat.warn_frames, seat.timeout_s) == (
        "b",
        "L3",
        RETREAT,
        4,
        9.0,
    )
    (seat,) = BoundarySet([boundary()], BODY).seats()
    check = CHECKS.load("jerk")
    assert (seat.layer, seat.reaction) == (check.layer, check.reaction)
    assert BoundarySet([phases()], SEEING).seats()[0].name == "b.reach"


def test_what_did_not_change_goes_on_where_it_was() -> None:
    before = BoundarySet([phases()], SEEING)
    before.advance(2.0, (0.0, 0.0))
    other = replace(boundary(), name="c")
    after = BoundarySet([other, phases()], SEEING)
    after.keep(before)
    assert after.names == ("c", "b.lift")
    assert after.seats()[1] is before.seats()[0]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (boundary(node(callback="velocity", params={"max_velocity": [1.0] * 3})), "3 numbers for the 2 joints"),
        (boundary(node(callback="self_collision")), "needs the arm's geometry, but this arm has no robot model"),
        (phases(), "enter_when needs the arm's geometry"),
        (boundary(node(callback="position_limits", params={"lower": [5.0, 0.5]})), "leave pan no range"),
    ],
)  # fmt: skip
def test_a_boundary_that_does_not_fit_the_arm_says_why(wanted: Boundary, words: str) -> None:
    assert words in fit([boundary(), wanted], BODY) and "'b'" in fit([wanted], BODY)
    assert fit([boundary()], BODY) == ""


# Tasks


def test_a_task_names_its_boundaries_and_its_share_of_the_limits() -> None:
    task = task_from_mapping(
        {"name": "t", "boundaries": ["b", "b"], "limits": {"velocity_scale": 0.5}, "timeout_s": 60}, ["b"]
    )
    assert task.boundaries == ("b",) and task.limits == TaskLimits(0.5, 1.0) and task.timeout_s == 60.0
    assert task_from_mapping(task.mapping(), ["b"]) == task
    assert task.boundaries_of(is_virtual=True) == () and task.boundaries_of(is_virtual=False) == ("b",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "name must be"),
        ({"boundaries": []}, "name at least one boundary"),
        ({"boundaries": ["c"]}, "there is no 'c'. Known: b"),
        ({"boundaries": "b"}, "must be a list of names"),
        ({"virtual_boundaries": ["bb"]}, "Did you mean 'b'"),
        ({"boundary": ["b"]}, "Did you mean 'boundaries'"),
        ({"limits": {"velocity": 0.5}}, "Did you mean 'velocity_scale'"),
        ({"limits": {"velocity_scale": 1.5}}, "from 0.01 to 1"),
        ({"limits": {"velocity_scale": float("nan")}}, "from 0.01 to 1"),
        ({"timeout_s": -1.0}, "timeout_s must be a number"),
        ({"session_id": 5}, "must be a text"),
    ],
)
def test_a_task_is_strict(change: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        task_from_mapping({"name": "t", "boundaries": ["b"], **change}, ["b"])


# All of it together


def wanted(*names: str) -> tuple[BoundaryWanted, ...]:
    return tuple(
        BoundaryWanted(name, 1, json.dumps({"name": name, "nodes": [{"callback": "jerk"}]})) for name in names
    )


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (GuardConfig(1, (BoundaryWanted("c", 1, wanted("b")[0].config),)), "calls itself 'b'"),
        (GuardConfig(1, wanted("b", "b")), "'b' is there twice"),
        (GuardConfig(1, wanted("b"), (TaskWanted("t", '{"name": "t", "boundaries": ["c"]}'),)), "no 'c'"),
        (GuardConfig(1, wanted(*(f"b{index}" for index in range(65)))), "At most 64"),
    ],
)
def test_one_mistake_refuses_a_whole_configuration(config: GuardConfig, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_config(config)
