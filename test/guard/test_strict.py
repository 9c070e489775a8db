# SPDX-License-Identifier: Apache-2.0
"""Reading what people wrote: nothing unknown is passed over, and every refusal says what to write instead."""

import json
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core import strict
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.guard.boundary import Boundary, boundary_from_json, boundary_from_mapping
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.task import Task, task_from_json, task_from_mapping

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["name", "type", "layer", "loop", "nodes", "boundaries", "limits", "timeout_s", "x"])
NODE_KEYS = st.sampled_from(
    ["node_id", "callback", "params", "fallback", "timeout_sec", "warn_frames", "enter_when", "next"]
)


@pytest.mark.parametrize("value", ["", " a", "a/b", "a\nb", "a\0", "x" * 65, 3, None, True, ["a"]])
def test_names_that_cannot_stand_in_a_url(value: Any) -> None:
    with pytest.raises(InvalidInput, match="printable"):
        strict.name(value, "The name")


@pytest.mark.parametrize("value", [nan, inf, True, "1", None, -0.1, 10.1])
def test_numbers_are_finite_in_range_and_no_bools(value: Any) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 10"):
        strict.number(value, "It", 0.0, 10.0)
    assert strict.number(3, "It", 0.0, 10.0) == 3.0


@pytest.mark.parametrize("value", [1.0, True, "1", None, -1, 6])
def test_whole_numbers(value: Any) -> None:
    with pytest.raises(InvalidInput, match="whole"):
        strict.whole(value, "It", 0, 5)


@pytest.mark.parametrize("value", [[1.0, 2.0], [1, 2, nan], [1, 2, True], "123", 3.0, {}])
def test_lists_of_numbers_have_their_length(value: Any) -> None:
    with pytest.raises(InvalidInput, match="3 finite numbers"):
        strict.numbers(value, 3, "It")
    assert strict.numbers([], 3, "It") == strict.numbers(None, 3, "It") == ()


def test_a_misspelt_key_names_the_nearest() -> None:
    with pytest.raises(InvalidInput, match="Did you mean 'nodes'"):
        boundary_from_mapping({"name": "a", "nodse": []})
    with pytest.raises(InvalidInput, match="Did you mean 'timeout_s'"):
        task_from_mapping({"name": "a", "boundaries": ["b"], "timeout": 3})
    with pytest.raises(InvalidInput, match="Did you mean 'hold_position'"):
        strict.choice("hold_positon", ("hold_position", "stop"), "It")


NODE = {"callback": "velocity"}
BOUNDARIES: list[tuple[dict[str, Any], str]] = [
    ({"nodes": []}, "1 to 32"),
    ({"nodes": [NODE] * 33}, "1 to 32"),
    ({"nodes": "velocity"}, "list"),
    ({"nodes": [NODE, {**NODE, "node_id": "b"}]}, "single boundary has one node"),
    ({"type": "list", "nodes": [NODE, NODE]}, "same node_id"),
    ({"type": "list", "nodes": [NODE, {**NODE, "node_id": "b"}]}, "enter_when"),
    ({"loop": True, "nodes": [NODE]}, "Only a list|only a list"),
    ({"loop": "yes", "nodes": [NODE]}, "true or false"),
    ({"layer": "L7", "nodes": [NODE]}, "L3"),
    ({"type": "tree", "nodes": [NODE]}, "graph"),
    ({"nodes": [{**NODE, "fallback": "panic"}]}, "fallback"),
    ({"nodes": [{**NODE, "fallback": "slow_down"}]}, "no answer to velocity"),
    ({"nodes": [{"callback": "ood", "fallback": "emergency_stop"}]}, "too uncertain"),
    ({"nodes": [{**NODE, "warn_frames": 0}]}, "warn_frames"),
    ({"nodes": [{**NODE, "timeout_sec": -1}]}, "timeout_sec"),
    ({"nodes": [{**NODE, "timeout_sec": nan}]}, "timeout_sec"),
    ({"nodes": [{**NODE, "next": ["b"]}]}, "next"),
    ({"nodes": [{**NODE, "enter_when": {}}]}, "says nothing"),
    ({"nodes": [{**NODE, "enter_when": {"inside_lower_m": [0, 0, 0]}}]}, "inside_upper_m"),
    ({"nodes": [{**NODE, "enter_when": {"gripper": "ajar"}}]}, "gripper"),
    ({"type": "graph", "nodes": [{**NODE, "next": ["nowhere"]}]}, "no node of it"),
    ({"nodes": [{"params": {}}]}, "callback"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), BOUNDARIES)
def test_boundaries_that_mean_nothing(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        boundary_from_mapping({"name": "mine", **values})


TASKS: list[tuple[dict[str, Any], str]] = [
    ({}, "at least one boundary"),
    ({"boundaries": ["c"]}, "there is no 'c'"),
    ({"boundaries": "a"}, "list of names"),
    ({"boundaries": ["a"], "timeout_s": -1}, "timeout_s"),
    ({"boundaries": ["a"], "timeout_s": nan}, "timeout_s"),
    ({"boundaries": ["a"], "limits": {"velocity_scale": 1.5}}, "velocity_scale"),
    ({"boundaries": ["a"], "limits": {"velocity_scale": 0}}, "velocity_scale"),
    ({"boundaries": ["a"], "limits": {"speed": 1}}, "speed"),
]


@pytest.mark.parametrize(("values", "words"), TASKS)
def test_tasks_that_mean_nothing(values: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        task_from_mapping({"name": "mine", **values}, ["a", "b"])


@given(
    st.dictionaries(
        KEYS, ANYTHING | st.lists(st.dictionaries(NODE_KEYS, ANYTHING, max_size=4), max_size=3), max_size=6
    )
)
def test_whatever_is_sent_is_read_or_refused(data: dict[str, Any]) -> None:
    for reader, kind in ((boundary_from_mapping, Boundary), (task_from_mapping, Task)):
        try:
            read = reader(data)
        except InvalidInput as error:
            assert str(error)
        else:
            assert isinstance(read, kind) and reader(read.mapping()) == read


@given(st.text(max_size=40))
def test_texts_that_are_no_json_are_refused(text: str) -> None:
    for reader in (boundary_from_json, task_from_json):
        try:
            reader(text)
        except InvalidInput as error:
            assert str(error)


def test_what_is_shipped_says_the_same_when_written_out_and_read_again() -> None:
    read = read_config(shipped_config())
    for boundary in read.boundaries.values():
        assert boundary_from_json(json.dumps(boundary.mapping())) == boundary
    for task in read.tasks.values():
        assert task_from_json(json.dumps(task.mapping()), list(read.boundaries)) == task


def test_a_boundary_of_megabytes_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidInput, match="too long"):
        boundary_from_json("[" * 1_000_000)
