# SPDX-License-Identifier: Apache-2.0
"""The risk level: a pure function, and a window over one arm's cycles."""

from hypothesis import given
from hypothesis import strategies as st

from lerobot_arena.core.clock import NS
from lerobot_arena.core.risk import RULES, RiskLevel, RiskRules, RiskWindow, risk_level
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.verify.world import GuardWorld

P, C, R, F = Decision.PASS, Decision.CLAMP, Decision.REJECT, Decision.FAULT


def levels(*decisions: Decision, period_s: float = 0.02, rules: RiskRules = RULES) -> list[str]:
    window = RiskWindow(rules)
    return [
        window.add(decision, steady_ns=round(index * period_s * NS)).name
        for index, decision in enumerate(decisions)
    ]


def test_a_cycle_alone() -> None:
    assert levels(P) == ["NORMAL"]
    assert levels(C) == ["ELEVATED"]
    assert levels(R) == ["CRITICAL"]
    assert levels(F) == ["EMERGENCY"]


def test_a_warning_passes_and_its_window_does_not() -> None:
    assert levels(C, P) == ["ELEVATED", "NORMAL"]
    assert levels(*[C] * 5, P) == ["ELEVATED"] * 6
    assert levels(R, P) == ["CRITICAL", "NORMAL"]
    assert levels(R, R, P) == ["CRITICAL"] * 3
    assert levels(F, P) == ["EMERGENCY", "NORMAL"], "the latch, not the window, keeps an emergency"


def test_the_window_forgets_after_its_time() -> None:
    window = RiskWindow()
    for index in range(5):
        window.add(C, steady_ns=index)
    assert window.add(P, steady_ns=10 * NS) is RiskLevel.ELEVATED, "at its very end"
    assert window.add(P, steady_ns=10 * NS + 5) is RiskLevel.NORMAL


def test_a_latch_is_an_emergency_whatever_happens() -> None:
    assert RiskWindow().add(P, steady_ns=0, is_latched=True) is RiskLevel.EMERGENCY


@given(
    st.lists(st.tuples(st.sampled_from(list(Decision)), st.integers(0, 3 * NS)), max_size=60),
    st.builds(RiskRules, st.floats(0.1, 10.0), st.integers(1, 8), st.integers(1, 4)),
)
def test_the_window_agrees_with_counting_all_over_again(
    cycles: list[tuple[Decision, int]], rules: RiskRules
) -> None:
    window, seen, now_ns = RiskWindow(rules), [], 0
    for decision, gap_ns in cycles:
        now_ns += gap_ns
        seen.append((now_ns, decision))
        oldest_ns = now_ns - round(rules.window_s * NS)
        counts = {kind: sum(d is kind and t >= oldest_ns for t, d in seen) for kind in (C, R)}
        assert window.add(decision, steady_ns=now_ns) is risk_level(
            decision, clamps=counts[C], rejects=counts[R], rules=rules
        )


@given(st.sampled_from(list(Decision)), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_worse_never_lowers_the_level(
    decision: Decision, clamps: int, rejects: int, is_latched: bool
) -> None:
    level = risk_level(decision, clamps=clamps, rejects=rejects, is_latched=is_latched)
    assert risk_level(decision, clamps=clamps + 1, rejects=rejects, is_latched=is_latched) >= level
    assert risk_level(decision, clamps=clamps, rejects=rejects + 1, is_latched=is_latched) >= level
    assert risk_level(decision, clamps=clamps, rejects=rejects, is_latched=True) >= level
    if decision < F:
        harder = Decision(decision + 1)
        assert risk_level(harder, clamps=clamps, rejects=rejects, is_latched=is_latched) >= level


def test_a_flood_of_decisions_takes_no_more_memory_than_its_bound() -> None:
    window = RiskWindow()
    for index in range(20_000):
        window.add(C, steady_ns=index)
    assert len(window._clamps) == 4096


def test_the_window_outlives_runs_and_the_latch_is_told() -> None:
    world = GuardWorld()
    world.start()
    world.arm.estop("test")
    world.step(20)
    assert world.arm.state().risk is world.ports.cycles[-1].risk is RiskLevel.EMERGENCY
    world.step(20)
    assert world.arm.reset().success
    world.step(20)
    assert world.ports.cycles[-1].risk is RiskLevel.NORMAL
