# SPDX-License-Identifier: Apache-2.0
"""How many instances a deployment has: bounds that always hold, and waking and sleeping."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.deployments.deployment import (
    KINDS,
    Load,
    Scale,
    check_kind,
    check_title,
    slug_of,
    wanted_instances,
)

scales = st.integers(0, 4).flatmap(
    lambda least: st.builds(
        Scale,
        least=st.just(least),
        most=st.integers(max(least, 1), 6),
        to_zero=st.booleans(),
        always_on=st.booleans(),
        idle_s=st.one_of(st.none(), st.integers(0, 100)),
    )
)
loads = st.integers(0, 6).flatmap(
    lambda running: st.builds(
        Load,
        running=st.just(running),
        busy=st.integers(0, running),
        waiting=st.integers(0, 5),
        idle_s=st.one_of(st.just(math.inf), st.floats(0, 1000)),
    )
)


@given(scales, loads)
def test_bounds_hold_whatever_happens(scale: Scale, load: Load) -> None:
    wanted = wanted_instances(scale, load)
    assert 0 <= wanted <= scale.most
    assert wanted >= 1 or not (load.waiting or load.busy), "who waits is served"
    assert wanted >= 1 or not scale.always_on
    assert wanted >= scale.least or scale.to_zero


@given(scales, loads)
def test_a_busy_instance_is_never_taken_away(scale: Scale, load: Load) -> None:
    assert wanted_instances(scale, load) >= min(load.busy, scale.most)


def test_it_wakes_on_use_and_sleeps_after_the_idle_time() -> None:
    scale = Scale(least=0, most=2, idle_s=60)
    assert wanted_instances(scale, Load()) == 0
    assert wanted_instances(scale, Load(waiting=1)) == 1
    assert wanted_instances(scale, Load(running=1, busy=1, waiting=1)) == 2
    assert wanted_instances(scale, Load(running=2, busy=2, waiting=5)) == 2
    assert wanted_instances(scale, Load(running=2, idle_s=59)) == 2
    assert wanted_instances(scale, Load(running=2, idle_s=60)) == 0


def test_the_least_stays_when_it_may_not_scale_to_zero() -> None:
    assert wanted_instances(Scale(least=2, most=3, to_zero=False), Load(running=3)) == 2
    assert wanted_instances(Scale(least=2, most=3, to_zero=True), Load(running=3)) == 0
    assert wanted_instances(Scale(least=0, most=1, to_zero=True, always_on=True), Load()) == 1


@pytest.mark.parametrize("numbers", [(2, 1), (-1, 1), (0, 0), (0, 1000)])
def test_impossible_numbers_are_refused(numbers: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match="Instances"):
        Scale(least=numbers[0], most=numbers[1])


def test_names() -> None:
    assert slug_of("My G1 browser deployment") == "my-g1-browser-deployment"
    assert slug_of("My G1", frozenset({"my-g1", "my-g1-2"})) == "my-g1-3"
    assert slug_of("日本") == "deployment"
    assert check_title("  a  b ") == "a b"
    assert check_kind(KINDS[0]) == KINDS[0]
    with pytest.raises(InvalidInput, match="native"):
        check_kind("native")
    with pytest.raises(InvalidInput):
        check_title(" ")
