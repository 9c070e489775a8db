# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.chunk import ActionChunk, check_chunk_shape
from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.params import bound, param, params_from_mapping, yaml_text
from lerobot_arena.core.registry import Registry
from lerobot_arena.core.session import SessionsWanted, SessionWanted
from lerobot_arena.core.stats import WINDOW, StageTimes
from lerobot_arena.core.verdict import Decision, Verdict, most_restrictive


@given(st.lists(st.sampled_from(list(Decision)), min_size=1))
def test_the_most_restrictive_verdict_decides(decisions: list[Decision]) -> None:
    assert most_restrictive(Verdict(d, "L1", "x") for d in decisions).decision == max(decisions)


def test_no_verdict_is_a_fault_and_ties_go_to_the_higher_layer() -> None:
    assert most_restrictive([]).decision == Decision.FAULT
    tie = [Verdict(Decision.REJECT, layer, layer) for layer in ("L3", "L1")]
    assert most_restrictive(tie).layer == "L3"


def test_a_chunk_of_impossible_shape_is_refused() -> None:
    good = ActionChunk(np.zeros((4, 2)), ("a", "b"), "radians", 0.1)
    check_chunk_shape(good)
    for bad in (
        ActionChunk(np.zeros((4, 3)), ("a", "b"), "radians", 0.1),
        ActionChunk(np.zeros((0, 2)), ("a", "b"), "radians", 0.1),
        ActionChunk(np.zeros((4, 2)), ("a", "a"), "radians", 0.1),
        ActionChunk(np.zeros((4, 2)), ("a", "b"), "radians", float("nan")),
        ActionChunk(np.zeros((4, 2)), ("a", "b"), "radians", 0.1, observation_age_s=float("nan")),
        ActionChunk(np.zeros(4), ("a", "b"), "radians", 0.1),
    ):
        with pytest.raises(InvalidInput):
            check_chunk_shape(bad)


def test_an_unknown_entry_is_answered_with_the_nearest() -> None:
    table = Registry("check", {"velocity": "math:sqrt"})
    assert table.load("velocity")(4) == 2
    with pytest.raises(InvalidInput, match="Did you mean 'velocity'"):
        table.load("velocty")


@dataclass(frozen=True)
class Params:
    rate_hz: float = param(50.0, "Rate", lowest=1.0, highest=200.0)
    mode: str = param("a", "Mode", choices=("a", "b"))
    rates: tuple[float, ...] = bound((), "Rates", length=1)
    names: tuple[str, ...] = param((), "Names")


def test_parameters_are_bounded_and_typed() -> None:
    assert params_from_mapping(Params, {"rate_hz": 30, "names": ["x"]}) == Params(30.0, names=("x",))
    for wrong in (
        {"rate_hz": 0.5},
        {"rate_hz": float("nan")},
        {"rate_hz": 10**400},
        {"rates": [10**400]},
        {"rate_hz": True},
        {"mode": "c"},
        {"rat_hz": 1.0},
    ):
        with pytest.raises(InvalidInput):
            params_from_mapping(Params, wrong)
    assert "rate_hz: 50.0" in yaml_text("guard", Params)


def test_stage_times_are_bounded_by_the_window() -> None:
    times = StageTimes()
    for value in range(WINDOW * 3):
        times.add("network", float(value))
    (stat,) = times.read()
    assert stat.count == WINDOW * 3 and stat.max_ms == WINDOW * 3 - 1 and stat.p50_ms > WINDOW * 2


def test_a_start_means_the_selected_session_or_the_only_one() -> None:
    def session(name: str, *, selected: bool = False, arm: str = "arm") -> SessionWanted:
        return SessionWanted(name, arm, "demo", is_selected=selected)

    assert SessionsWanted(1, (session("a"),)).for_arm("arm") == session("a")
    assert SessionsWanted(1, (session("a"), session("b"))).for_arm("arm") is None
    assert SessionsWanted(1, (session("a"), session("b", selected=True))).for_arm("arm").session_id == "b"
    assert SessionsWanted(1, (session("a"),)).for_arm("other") is None
