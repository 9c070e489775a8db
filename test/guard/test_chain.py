# SPDX-License-Identifier: Apache-2.0
"""The chain merges most-restrictive and turns every doubt into a FAULT without an action."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from math import inf, nan
from typing import Any

import pytest

from lerobot_arena.core.reaction import (
    EMERGENCY_STOP,
    ENFORCE,
    ENFORCEMENT_MODES,
    HOLD,
    LOG_ONLY,
    MONITOR,
    RETREAT,
    SLOW_DOWN,
    STOP,
)
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.chain import Chain, build_chain
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, JointLimits, NoParams, Phase
from lerobot_arena.guard.checks.table import CORE_CHECKS
from lerobot_arena.guard.seat import Seat

LIMITS = JointLimits((-1.0, -1.0), (1.0, 1.0), (3.0, 3.0), (30.0, 30.0))
BODY = Body(("a", "b"), "radians", LIMITS)
GIVEN = CheckInput(
    joint_names=("a", "b"),
    unit="radians",
    limits=LIMITS,
    dt_s=0.02,
    measured=(0.0, 0.0),
    joint_age_s=0.0,
    previous_command=(0.0, 0.0),
    previous_velocity=(0.0, 0.0),
    proposed=(0.001, 0.002),
    proposed_names=("a", "b"),
)
Answer = Callable[[CheckInput], Any]


class Scripted(Check):
    """A check that answers what a test says."""

    def __init__(
        self,
        name: str,
        answer: Answer,
        *,
        phase: Phase = Phase.LIMIT,
        layer: str = "L1",
        escalates: bool = False,
    ) -> None:
        super().__init__(NoParams(), BODY)
        self.name, self.layer, self.phase = name, layer, phase  # type: ignore[misc]
        self.escalates_to_emergency = escalates  # type: ignore[misc]
        self.answer = answer
        self.asked = 0

    def examine(self, given: CheckInput) -> Finding:
        self.asked += 1
        finding: Finding = self.answer(given)
        return finding


def seat(check: Check, **more: Any) -> Seat:
    return Seat(check, check.name, check.layer, **more)


def chain(*checks: Check, **more: Any) -> Chain:
    """Each check in a seat of its own, so slow a machine may be."""
    return Chain([seat(check) for check in checks], **{"budget_ms": 1e6, **more})


def says(decision: Decision, **more: Any) -> Answer:
    return lambda given: Finding(decision, "" if decision is Decision.PASS else decision.name, **more)


def test_an_empty_chain_is_a_fault() -> None:
    result = Chain([]).evaluate(GIVEN)
    assert result.action is None and result.deciding.decision is Decision.FAULT


@pytest.mark.parametrize("others", [[], [Decision.PASS], [Decision.REJECT], [Decision.CLAMP, Decision.PASS]])
def test_the_most_restrictive_wins(others: list[Decision]) -> None:
    for decision in Decision:
        checks = [Scripted(str(i), says(d)) for i, d in enumerate([*others, decision])]
        result = chain(*checks).evaluate(GIVEN)
        assert result.deciding.decision is max([*others, decision])
        assert (result.action is None) == (max([*others, decision]) > Decision.CLAMP)


def test_of_equals_the_higher_layer_is_named() -> None:
    result = chain(
        Scripted("low", says(Decision.FAULT), layer="L1"),
        Scripted("high", says(Decision.FAULT), layer="L3"),
        Scripted("mid", says(Decision.FAULT), layer="L2"),
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
    result = chain(Scripted("bad", answer), other).evaluate(GIVEN)
    assert result.action is None
    assert result.deciding.decision is Decision.FAULT and result.deciding.check == "bad"
    assert words in result.deciding.reason
    assert other.asked == 1


@pytest.mark.parametrize("phase", [Phase.SENSE, Phase.SHAPE, Phase.JUDGE])
def test_only_limiters_may_change_the_action(phase: Phase) -> None:
    result = chain(Scripted("sly", says(Decision.CLAMP, action=(0.0, 0.0)), phase=phase)).evaluate(GIVEN)
    assert result.deciding.decision is Decision.FAULT and result.action is None


@pytest.mark.parametrize(
    ("clock_ms", "busy_ms", "words"),
    [(11, 11, "11.0 ms"), (51, 0, "hung for 51.0 ms"), (49, 9, ""), (10, 10, "")],
)
def test_a_check_over_its_budget_is_a_fault_unless_it_only_waited_for_a_core(
    clock_ms: int, busy_ms: int, words: str
) -> None:
    clock, busy = count(0, clock_ms * 1_000_000), count(0, busy_ms * 1_000_000)
    result = chain(
        Scripted("slow", says(Decision.PASS)),
        budget_ms=10.0,
        timer=lambda: next(clock),
        processor_timer=lambda: next(busy),
    ).evaluate(GIVEN)
    assert words in result.deciding.reason
    assert (result.deciding.decision is Decision.FAULT) == (result.action is None) == bool(words)


def test_a_later_phase_is_not_asked_once_motion_is_forbidden() -> None:
    limit = Scripted("limit", says(Decision.PASS))
    chain(Scripted("sense", says(Decision.FAULT), phase=Phase.SENSE), limit).evaluate(GIVEN)
    assert limit.asked == 0


def test_without_an_action_only_the_senses_are_asked() -> None:
    sense, limit = Scripted("sense", says(Decision.PASS), phase=Phase.SENSE), Scripted("limit", raises)
    result = chain(sense, limit).evaluate(replace(GIVEN, proposed=None))
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
    result = chain(halve, look).evaluate(GIVEN)
    assert result.action == (0.0005, 0.001) and seen[0] == result.action


def test_the_output_is_checked_again_by_the_limiters_before() -> None:
    """The second limiter undoes the first one's work: the first gets the last word."""
    inside = Scripted(
        "inside", lambda g: Finding(Decision.CLAMP, "in", (0.5, 0.0)) if g.action[0] > 0.5 else Finding()
    )
    once = iter([(0.7, 0.0)])
    push = Scripted("push", lambda g: Finding(Decision.CLAMP, "out", next(once, g.action)))
    result = chain(inside, push).evaluate(replace(GIVEN, proposed=(0.9, 0.0)))
    assert result.action == (0.5, 0.0)


def test_limits_that_contradict_each_other_are_a_fault() -> None:
    up = Scripted("up", lambda g: Finding(Decision.CLAMP, "up", (g.action[0] + 1.0, 0.0)))
    result = chain(up).evaluate(GIVEN)
    assert result.action is None and "contradict" in result.deciding.reason


def test_a_rejection_of_the_output_counts() -> None:
    picky = Scripted(
        "picky", lambda g: Finding(Decision.REJECT, "no") if g.action == (0.5, 0.0) else Finding()
    )
    late = Scripted("late", lambda g: Finding(Decision.CLAMP, "half", (0.5, 0.0)))
    result = chain(picky, late).evaluate(GIVEN)
    assert result.action is None and result.deciding.check == "picky"


def test_every_verdict_is_reported_with_its_time() -> None:
    result = build_chain({}, BODY).evaluate(GIVEN)
    assert {v.check for v in result.verdicts} == set(CORE_CHECKS)
    assert len(result.verdicts) == len(CORE_CHECKS)
    assert all(0.0 <= v.latency_ms < 10.0 for v in result.verdicts)


def test_judges_see_the_final_action_and_only_it() -> None:
    seen: list[Any] = []
    halve = Scripted(
        "halve",
        lambda g: Finding() if g.action == (0.0, 0.0) else Finding(Decision.CLAMP, "half", (0.0, 0.0)),
    )
    judge = Scripted("judge", lambda g: seen.append(g.action) or Finding(), phase=Phase.JUDGE)
    assert chain(judge, halve).evaluate(GIVEN).action == (0.0, 0.0)
    assert seen == [(0.0, 0.0)]


def test_a_judge_stops_an_action_that_the_limits_let_pass() -> None:
    limit = Scripted("limit", says(Decision.PASS))
    result = chain(limit, Scripted("judge", says(Decision.REJECT), phase=Phase.JUDGE, layer="L2")).evaluate(
        GIVEN
    )
    assert result.action is None and result.deciding.check == "judge" and limit.asked == 1


def test_a_clamp_without_an_action_is_a_warning_in_every_phase() -> None:
    for phase in Phase:
        result = chain(Scripted("warns", says(Decision.CLAMP), phase=phase)).evaluate(GIVEN)
        assert result.action == GIVEN.action and result.deciding.decision is Decision.CLAMP
        assert result.triggers == ()


# Reactions and debounce


def one(decision: Decision, *, escalates: bool = False, **more: Any) -> Chain:
    check = Scripted("one", says(decision), phase=Phase.SENSE, escalates=escalates)
    return Chain([seat(check, **more)], budget_ms=1e6)


@pytest.mark.parametrize("decision", [Decision.REJECT, Decision.FAULT])
@pytest.mark.parametrize("reaction", [RETREAT, HOLD, STOP, EMERGENCY_STOP])
def test_an_objection_asks_for_its_seats_reaction(decision: Decision, reaction: str) -> None:
    result = one(decision, reaction=reaction).evaluate(GIVEN)
    assert [(t.name, t.reaction, t.decision) for t in result.triggers] == [("one", reaction, decision)]
    assert result.action is None and result.deciding.decision is decision


def test_nothing_is_asked_for_without_an_objection() -> None:
    for decision in (Decision.PASS, Decision.CLAMP):
        assert one(decision, reaction=STOP).evaluate(GIVEN).triggers == ()


def test_slowing_down_lets_the_action_pass_as_a_clamp() -> None:
    result = one(Decision.REJECT, reaction=SLOW_DOWN).evaluate(GIVEN)
    assert result.action == GIVEN.action and result.deciding.decision is Decision.CLAMP
    assert [t.reaction for t in result.triggers] == [SLOW_DOWN]
    assert result.deciding.reason.startswith("Slower")


def test_a_fault_is_not_answered_by_going_slower() -> None:
    result = one(Decision.FAULT, reaction=SLOW_DOWN).evaluate(GIVEN)
    assert result.action is None and [t.reaction for t in result.triggers] == [HOLD]


def test_a_check_that_breaks_holds_whatever_its_seat_would_do() -> None:
    broken = Chain([seat(Scripted("bad", raises), reaction=SLOW_DOWN)], budget_ms=1e6).evaluate(GIVEN)
    assert broken.action is None and [t.reaction for t in broken.triggers] == [HOLD]


@pytest.mark.parametrize(
    ("decision", "escalates", "is_latching"),
    [
        (Decision.FAULT, True, True),
        (Decision.FAULT, False, False),
        (Decision.REJECT, True, False),
    ],
)
def test_only_faults_of_a_check_that_escalates_are_latched(
    decision: Decision, escalates: bool, is_latching: bool
) -> None:
    (trigger,) = one(decision, escalates=escalates).evaluate(GIVEN).triggers
    assert trigger.is_latching is is_latching


def test_the_first_objections_in_a_row_are_warnings() -> None:
    answers = iter("rr.rrr.r")
    check = Scripted("flaky", lambda g: Finding(Decision.REJECT, "no") if next(answers) == "r" else Finding())
    debounced = Chain([seat(check, warn_frames=3)], budget_ms=1e6)
    results = [debounced.evaluate(GIVEN) for _ in range(8)]
    assert [r.action is None for r in results] == [False] * 5 + [True, False, False]
    assert [r.deciding.decision.name[0] for r in results] == list("CCPCCRPC")
    assert results[1].deciding.reason == "Warning 2 of 3: no"
    assert [len(r.triggers) for r in results] == [0, 0, 0, 0, 0, 1, 0, 0]


def test_a_seat_that_was_active_for_too_long_rejects() -> None:
    timed = Chain([seat(Scripted("phase", says(Decision.PASS)), timeout_s=2.0)], budget_ms=1e6)
    assert timed.evaluate(replace(GIVEN, run_s=7.0)).action is not None
    assert timed.evaluate(replace(GIVEN, run_s=9.0)).action is not None
    late = timed.evaluate(replace(GIVEN, run_s=9.1))
    assert late.action is None and "active for 2.1 s" in late.deciding.reason
    timed.seats[0].enter()
    assert timed.evaluate(replace(GIVEN, run_s=9.2)).action is not None


# A retreat is possible from where a check objects


def test_an_excused_seat_is_asked_but_neither_blocks_nor_limits_nor_triggers() -> None:
    reject = Scripted("reject", says(Decision.REJECT))
    clamp = Scripted("clamp", says(Decision.CLAMP, action=(0.0, 0.0)))
    result = chain(reject, clamp).evaluate(GIVEN, frozenset({"reject", "clamp"}))
    assert result.action == GIVEN.action and result.triggers == ()
    assert {v.check: v.decision for v in result.verdicts} == {
        "reject": Decision.REJECT,
        "clamp": Decision.CLAMP,
    }
    assert reject.asked == 1


def test_excusing_one_seat_excuses_no_other() -> None:
    other = Scripted("other", says(Decision.REJECT))
    result = chain(Scripted("one", says(Decision.REJECT)), other).evaluate(GIVEN, frozenset({"one"}))
    assert result.action is None and [t.name for t in result.triggers] == ["other"]


# Enforcement


def mixed(enforcement: str, answer: Answer) -> tuple[Chain, Scripted, Scripted]:
    must, may = Scripted("must", says(Decision.PASS)), Scripted("may", answer)
    seats = [seat(must, is_mandatory=True), seat(may)]
    return Chain(seats, budget_ms=1e6, enforcement=enforcement), must, may


@pytest.mark.parametrize("answer", [says(Decision.REJECT), says(Decision.CLAMP, action=(0.0, 0.0)), raises])
def test_monitoring_reports_and_forwards_the_original(answer: Answer) -> None:
    watching, _, may = mixed(MONITOR, answer)
    result = watching.evaluate(GIVEN)
    assert result.action == GIVEN.action and result.triggers == () and may.asked == 1
    assert result.deciding.check == "may" and result.deciding.decision > Decision.PASS


def test_logging_only_asks_nobody_who_does_not_have_to_answer() -> None:
    quiet, must, may = mixed(LOG_ONLY, raises)
    assert quiet.evaluate(GIVEN).action == GIVEN.action
    assert (must.asked, may.asked) == (1, 0)


@pytest.mark.parametrize("enforcement", ENFORCEMENT_MODES)
@pytest.mark.parametrize(
    "action", [(nan, 0.0), (inf, 0.0), (1e308, 0.0), (0.0,), (0.0, 0.0, 0.0), (), (True, 0.0), ("0", 0.0)]
)
def test_what_is_no_action_is_stopped_in_every_mode(enforcement: str, action: tuple[Any, ...]) -> None:
    result = build_chain({}, BODY, enforcement=enforcement).evaluate(replace(GIVEN, proposed=action))
    assert result.action is None and result.deciding.decision >= Decision.REJECT and result.triggers


@pytest.mark.parametrize("enforcement", ENFORCEMENT_MODES)
def test_only_enforcing_limits_an_action(enforcement: str) -> None:
    far = replace(GIVEN, proposed=(5.0, -5.0))
    result = build_chain({}, BODY, enforcement=enforcement).evaluate(far)
    assert (result.action == far.action) == (enforcement != ENFORCE)


def test_an_empty_chain_is_a_fault_in_every_mode() -> None:
    for enforcement in ENFORCEMENT_MODES:
        result = Chain([], enforcement=enforcement).evaluate(GIVEN)
        assert result.action is None and result.deciding.decision is Decision.FAULT
