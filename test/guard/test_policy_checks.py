# SPDX-License-Identifier: Apache-2.0
"""Checks that follow the policy over time: each fault they own, and its border.

Ids of parametrized cases and names of tests begin with the row of the fault list that they are (A16, B4, H1 …).
"""

from dataclasses import replace
from math import inf, nan
from typing import Any

import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.hardware import Score
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import boundary_from_mapping
from lerobot_arena.guard.checks.protocol import Finding
from lerobot_arena.testing.sensor_examples import (
    GOOD,
    Run,
    make,
    scored,
)


def chunks(name: str, overlaps: list[float | None], **params: Any) -> list[Decision]:
    """Decision in each new chunk's first cycle and in its second."""
    check = make(name, **params)
    found = []
    for index, overlap in enumerate(overlaps):
        now = replace(GOOD, chunk_sequence=index + 1, overlap=overlap)
        found += [check.examine(now).decision, check.examine(now).decision]
    return found


def test_a16_chunks_that_contradict_the_plan_warn_and_are_rejected_from_the_second_in_a_row() -> None:
    warned = [Decision.CLAMP, Decision.PASS]
    rejected = [Decision.REJECT] * 2
    fine = [Decision.PASS] * 2
    assert chunks("chunk_overlap", [0.3, nan, inf, 0.07]) == warned + rejected * 3
    assert chunks("chunk_overlap", [0.3, 0.06, 0.3]) == warned + fine + warned
    assert chunks("chunk_overlap", [None, 0.3, None, 0.3]) == fine + warned + fine + warned
    assert chunks("chunk_overlap", [0.1, 0.1], max_share=0.09, in_row=1) == rejected * 2
    assert chunks("chunk_overlap", [0.1] * 3, in_row=3) == warned * 2 + rejected


def test_a16_a_plan_that_the_arm_could_not_follow_is_not_held_against_the_next() -> None:
    """While it goes slower the arm is behind its plan, so that each new plan begins elsewhere."""
    check = make("chunk_overlap", in_row=1)
    behind = replace(GOOD, overlap=0.3, proposed=(0.4, 0.3, 0.4))
    assert check.examine(behind).decision is Decision.REJECT
    assert check.examine(replace(behind, chunk_sequence=2)) == Finding()
    assert check.examine(replace(GOOD, chunk_sequence=2)) == Finding()
    assert check.examine(replace(GOOD, chunk_sequence=3, overlap=0.3)).decision is Decision.REJECT


def test_ood_counts_observations_not_cycles() -> None:
    check = make("ood", in_row=2)
    over = replace(GOOD, **scored(ood=2.0))
    assert [check.examine(over).decision for _ in range(3)] == [Decision.PASS] * 3
    assert check.examine(replace(over, chunk_sequence=2)).decision is Decision.REJECT
    assert check.examine(replace(over, chunk_sequence=2)).decision is Decision.REJECT
    assert check.examine(replace(GOOD, chunk_sequence=3)) == Finding()


def test_scores_that_a_policy_had_and_has_no_more_are_missed() -> None:
    for name in ("ood", "camera_health"):
        check = make(name)
        check.examine(GOOD)
        assert check.examine(replace(GOOD, scores={})).decision is Decision.CLAMP


@pytest.mark.parametrize("name", ["ood", "camera_health", "chunk_overlap"])
@pytest.mark.parametrize(
    ("fallback", "is_taken"),
    [("slow_down", True), ("hold_position", True), ("stop", False), ("emergency_stop", False)],
)
def test_a_guess_about_the_observation_may_slow_or_hold_and_never_more(
    name: str, fallback: str, is_taken: bool
) -> None:
    data = {"name": "strange", "nodes": [{"callback": name, "fallback": fallback}]}
    if is_taken:
        boundary_from_mapping(data)
    else:
        with pytest.raises(InvalidInput, match="too uncertain"):
            boundary_from_mapping(data)


def repeated(**changes: Any) -> list[Decision]:
    """Decisions of a policy that wants the same for five seconds, with a new chunk every half second."""
    run = Run("frozen_policy")
    found = []
    for index in range(250):
        now = {name: change(index) for name, change in changes.items()}
        found.append(run.cycle(chunk_sequence=1 + index // 25, **now).decision)
    return found


def test_a20_a_policy_that_wants_the_same_whatever_happens_is_warned_of_and_nothing_more() -> None:
    moving = repeated(measured=lambda index: (0.1 + 0.004 * index, 0.2, 0.3))
    assert set(moving) == {Decision.PASS, Decision.CLAMP}
    assert moving.index(Decision.CLAMP) * 0.02 == pytest.approx(3.0, abs=0.05)
    seeing = repeated(scores=lambda index: {"ood": Score("ood", 0.5 + 0.001 * (index // 25), 1.0)})
    assert set(seeing) == {Decision.PASS, Decision.CLAMP}


def test_a20_a_policy_that_stays_and_an_arm_that_arrives_pass() -> None:
    assert set(repeated()) == {Decision.PASS}
    arriving = repeated(measured=lambda index: (0.1 + min(0.01 * index, 0.5), 0.2, 0.3))
    assert set(arriving) == {Decision.PASS}
    wanting = repeated(proposed=lambda index: (0.1 + 1e-9 * (index // 25), 0.2, 0.3))
    assert set(wanting) == {Decision.PASS}
