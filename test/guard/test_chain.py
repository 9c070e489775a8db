# SPDX-License-Identifier: Apache-2.0
"""The chain merges most-restrictive and turns every doubt into a FAULT without an action."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import inf, nan
from typing import Any, ClassVar

import pytest

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chain import Chain, build_chain
from lerobot_arena.guard.checks.protocol import CheckInput, Finding, JointLimits, NoParams, Phase

GIVEN = CheckInput(
    joint_names=("a", "b"),
    unit="radians",
    limits=JointLimits((-1.0, -1.0), (1.0, 1.0), (3.0, 3.0), (30.0, 30.0)),
    dt_s=0.02,
    measured=(0.0, 0.0),
    joint_age_s=0.0,
    previous_command=(0.0, 0.0),
    previous_velocity=(0.0, 0.0),
    proposed=(0.001, 0.002),
    proposed_names=("a", "b"),
)
Answer = Callable[[CheckInput], Any]


class Scripted:
    """A check that answers what a test says."""

    params_type: ClassVar[type] = NoParams

    def __init__(self, name: str, answer: Answer, *, phase: Phase = Phase.LIMIT, layer: str = "L1") -> None:
        self.name, self.layer, self.phase, self.answer = name, layer, phase, answer  # type: ignore[misc]
        self.asked = 0

    def examine(self, given: CheckInput) -> Finding:
        self.asked += 1
        finding: Finding = self.answer(given)
        return finding


def says(decision: Decision, **more: Any) -> Answer:
    return lambda given: Finding(decision, "" if decision is Decision.PASS else decision.name, **more)


def test_an_empty_chain_is_a_fault() -> None:
    result = Chain([]).evaluate(GIVEN)
    assert result.action is None and result.deciding.decision is Decision.FAULT


@pytest.mark.parametrize("others", [[], [Decision.PASS], [Decision.REJECT], [Decision.CLAMP, Decision.PASS]])
def test_the_most_restrictive_wins(others: list[Decision]) -> None:
    for decision in Decision:
        checks = [Scripted(str(i), says(d)) for i, d in enumerate([*others, decision])]
        result = Chain(checks).evaluate(GIVEN)
        assert result.deciding.decision is max([*others, decision])
        assert (result.action is None) == (max([*others, decision]) > Decision.CLAMP)


def test_of_equals_the_higher_layer_is_named() -> None:
    result = Chain(
        [
            Scripted("low", says(Decision.FAULT), layer="L1"),
            Scripted("high", says(Decision.FAULT), layer="L3"),
            Scripted("mid", says(Decision.FAULT), layer="L2"),
        ]
    ).evaluate(GIVEN)
    assert (result.deciding.layer, result.deciding.check) == ("L3", "high")


def raises(given: CheckInput) -> Finding:
    raise RuntimeError("out of cheese")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (raises, "out of cheese"),
        (lambda given: None, "NoneType"),
        (says(Decision.CLAMP, action=(nan, 0.0)), "no action"),
        (says(Decision.CLAMP, action=(inf, 0.0)), "no action"),
        (says(Decision.CLAMP, action=(0.0,)), "no action"),
        (says(Decision.PASS, action=(0.0, 0.0)), "only a CLAMP"),
        (says(Decision.REJECT, action=(0.0, 0.0)), "only a CLAMP"),
    ],
)
def test_a_check_that_misbehaves_is_a_fault_and_the_others_are_still_asked(
    answer: Answer, words: str
) -> None:
    other = Scripted("other", says(Decision.PASS))
    result = Chain([Scripted("bad", answer), other]).evaluate(GIVEN)
    assert result.action is None
    assert result.deciding.decision is Decision.FAULT and result.deciding.check == "bad"
    assert words in result.deciding.reason
    assert other.asked == 1


@pytest.mark.parametrize("phase", [Phase.SENSE, Phase.SHAPE])
def test_only_limiters_may_change_the_action(phase: Phase) -> None:
    result = Chain([Scripted("sly", says(Decision.CLAMP, action=(0.0, 0.0)), phase=phase)]).evaluate(GIVEN)
    assert result.deciding.decision is Decision.FAULT and result.action is None


@pytest.mark.parametrize(
    ("clock_ms", "busy_ms", "words"),
    [(11, 11, "11.0 ms"), (51, 0, "hung for 51.0 ms"), (49, 9, ""), (10, 10, "")],
)
def test_a_check_over_its_budget_is_a_fault_unless_it_only_waited_for_a_core(
    clock_ms: int, busy_ms: int, words: str
) -> None:
    clock, busy = count(0, clock_ms * 1_000_000), count(0, busy_ms * 1_000_000)
    result = Chain(
        [Scripted("slow", says(Decision.PASS))],
        budget_ms=10.0,
        timer=lambda: next(clock),
        processor_timer=lambda: next(busy),
    ).evaluate(GIVEN)
    assert words in result.deciding.reason
    assert (result.deciding.decision is Decision.FAULT) == (result.action is None) == bool(words)


def test_a_later_phase_is_not_asked_once_motion_is_forbidden() -> None:
    limit = Scripted("limit", says(Decision.PASS))
    Chain([Scripted("sense", says(Decision.FAULT), phase=Phase.SENSE), limit]).evaluate(GIVEN)
    assert limit.asked == 0


def test_without_an_action_only_the_senses_are_asked() -> None:
    sense, limit = Scripted("sense", says(Decision.PASS), phase=Phase.SENSE), Scripted("limit", raises)
    result = Chain([sense, limit]).evaluate(replace(GIVEN, proposed=None))
    assert result.action is None and result.deciding.decision is Decision.PASS
    assert (sense.asked, limit.asked) == (1, 0)


def test_limiters_see_what_the_ones_before_them_made() -> None:
    seen: list[Any] = []
    halve = Scripted(
        "halve",
        lambda g: (
            Finding(Decision.CLAMP, "half", (0.0005, 0.001)) if g.action != (0.0005, 0.001) else Finding()
        ),
    )
    look = Scripted("look", lambda g: seen.append(g.action) or Finding())
    result = Chain([halve, look]).evaluate(GIVEN)
    assert result.action == (0.0005, 0.001) and seen[0] == result.action


def test_the_output_is_checked_again_by_the_limiters_before() -> None:
    """The second limiter undoes the first one's work: the first gets the last word."""
    inside = Scripted(
        "inside", lambda g: Finding(Decision.CLAMP, "in", (0.5, 0.0)) if g.action[0] > 0.5 else Finding()
    )
    once = iter([(0.7, 0.0)])
    push = Scripted("push", lambda g: Finding(Decision.CLAMP, "out", next(once, g.action)))
    result = Chain([inside, push]).evaluate(replace(GIVEN, proposed=(0.9, 0.0)))
    assert result.action == (0.5, 0.0)


def test_limits_that_contradict_each_other_are_a_fault() -> None:
    up = Scripted("up", lambda g: Finding(Decision.CLAMP, "up", (g.action[0] + 1.0, 0.0)))
    result = Chain([up]).evaluate(GIVEN)
    assert result.action is None and "contradict" in result.deciding.reason


def test_a_rejection_of_the_output_counts() -> None:
    picky = Scripted(
        "picky", lambda g: Finding(Decision.REJECT, "no") if g.action == (0.5, 0.0) else Finding()
    )
    late = Scripted("late", lambda g: Finding(Decision.CLAMP, "half", (0.5, 0.0)))
    result = Chain([picky, late]).evaluate(GIVEN)
    assert result.action is None and result.deciding.check == "picky"


def test_every_verdict_is_reported_with_its_time() -> None:
    result = build_chain({}).evaluate(GIVEN)
    assert [v.check for v in result.verdicts][:2] == ["joint_age", "single_publisher"]
    assert len({v.check for v in result.verdicts}) == len(result.verdicts) == 11
    assert all(0.0 <= v.latency_ms < 10.0 for v in result.verdicts)
