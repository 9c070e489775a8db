# SPDX-License-Identifier: Apache-2.0
"""The chain an SO-101 really runs with, boundaries and geometry included, under thousands of actions of every kind.

10 000 of them here; a million with HYPOTHESIS_PROFILE=nightly. Hypothesis draws where and how a walk goes, numpy its
many actions: drawing each number would take most of the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from math import dist, inf, isfinite, nan
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.boundary import boundary_from_mapping
from lerobot_arena.guard.boundary_set import BoundarySet
from lerobot_arena.guard.chain import Chain, ChainResult, core_seats
from lerobot_arena.guard.checks.protocol import TABLE
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.limiter import Vector
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.testing.check_examples import good_cycle, so101_body

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

ACTIONS = 100
DT = 0.02
NEAR = 1e-9
BODY = so101_body()
LIMITS = BODY.limits
GOOD = good_cycle()
# Beside what ships, rules that cut through the room the arm works in, in the worst order for the limiters.
FURTHER = {
    "narrow": ("position_limits", {"upper": [1.0, 1.2, 1.6, 1.6, 2.0, 1.5]}),
    "slow": ("velocity", {"max_velocity": [2.0, 2.5, 9, 9, 9, 9]}),
    "post": ("keep_out_sphere", {"centre_m": [0.25, 0.1, 0.1], "radius_m": 0.06}),
    "down": ("tilt", {"direction": [0, 0, -1], "max_tilt_rad": 1.2}),
    "grip": (
        "gripper_rule",
        {"allowed_command": "close", "zone_lower_m": [0.1, -0.3, 0.0], "zone_upper_m": [0.3, 0.0, 0.2]},
    ),
}
WORKSPACE = ((0.0, -0.42, -0.02), (0.46, 0.42, 0.5))
GEOMETRY = BODY.geometry
assert GEOMETRY is not None
# From anywhere in the joints' ranges, or from where an arm is likely to be.
STARTS = st.one_of(
    st.tuples(*(st.floats(low, high) for low, high in zip(LIMITS.lower, LIMITS.upper))),
    st.tuples(*(st.floats(here - 0.4, here + 0.4) for here in GOOD.measured)),
)


def whole_chain(*, is_turned_round: bool = False) -> Chain:
    """The core, the default task's boundaries, and the further ones; or these in the opposite order."""
    config = read_config(shipped_config())
    boundaries = [
        *config.of_task(config.tasks["default"], is_virtual=False),
        *(
            boundary_from_mapping({"name": name, "nodes": [{"callback": callback, "params": params}]})
            for name, (callback, params) in FURTHER.items()
        ),
    ]
    seats = BoundarySet(boundaries, BODY).seats()
    if is_turned_round:
        seats.reverse()
    return Chain([*core_seats(BODY, {}), *seats], budget_ms=1e6)


def broken(joints: Vector) -> dict[str, float]:
    """What of the geometry is broken there, by how much; of overlaps the deepest and the sum."""
    assert GEOMETRY is not None
    found = {}
    position = GEOMETRY.pose(joints).position_m
    for axis, value, low, high in zip("xyz", position, *WORKSPACE):
        found[axis] = max(low - value, value - high, 0.0)
    found["sphere"] = max(0.06 - dist(position, (0.25, 0.1, 0.1)), 0.0)
    for what, margin_m in (("table", 0.0), ("itself", 0.002)):
        depths = [
            margin_m - gap
            for (first, _), gap in GEOMETRY.near(joints).items()
            if gap < margin_m and (first == TABLE) == (what == "table")
        ]
        found[f"{what}, deepest"], found[f"{what}, in all"] = max(depths, default=0.0), sum(depths)
    return found


def wishes(style: str, random: np.random.Generator, start: Vector) -> Iterator[Any]:
    """Actions of one kind; every one of them is something a policy could send."""
    low, high = np.array(LIMITS.lower), np.array(LIMITS.upper)
    place = np.array(start)
    goal = random.uniform(low, high)
    for index in range(ACTIONS):
        if style == "jumps":
            yield tuple(random.uniform(low - 0.5, high + 0.5).tolist())
        elif style == "noise":
            yield tuple((place + random.normal(0, 0.1, 6)).tolist())
        elif style == "broken":
            yield malformed(random, place)
        else:
            if index % 25 == 0:
                goal = random.uniform(low - 0.2, high + 0.2)
            place = place + np.clip(goal - place, -0.05, 0.05)
            yield tuple(place.tolist())


def malformed(random: np.random.Generator, place: np.ndarray[Any, Any]) -> Any:
    values = place.tolist()
    spot = int(random.integers(6))
    kind = int(random.integers(7))
    if kind < 4:
        values[spot] = (nan, inf, -inf, 1e300)[kind]
        return tuple(values)
    return (tuple(values[:spot]), (*values, 0.0), tuple(map(str, values)))[kind - 4]


@dataclass
class Arm:
    """What the loop remembers between two cycles."""

    command: Vector
    velocity: Vector = (0.0,) * 6
    acceleration: Vector = (0.0,) * 6
    cycle: int = 0

    def given(self, wanted: Any) -> Any:
        return replace(
            GOOD,
            measured=self.command,
            previous_command=self.command,
            previous_velocity=self.velocity,
            previous_acceleration=self.acceleration,
            proposed=wanted,
            now_s=100.0 + self.cycle * DT,
            run_s=5.0 + self.cycle * DT,
        )

    def moved(self, action: Vector) -> None:
        velocity = tuple((b - a) / DT for a, b in zip(self.command, action))
        self.acceleration = tuple((b - a) / DT for a, b in zip(self.velocity, velocity))
        self.command, self.velocity = action, velocity

    def held(self) -> None:
        self.velocity = self.acceleration = (0.0,) * 6


def check_step(before: Arm, wanted: Vector, result: ChainResult) -> None:
    """The promises about one action that left the guard."""
    action = result.action
    assert action is not None
    assert len(action) == 6 and all(type(value) is float and isfinite(value) for value in action)
    for joint in range(6):
        start, end = before.command[joint], action[joint]
        low, high = LIMITS.lower[joint], LIMITS.upper[joint]
        assert min(low, start) <= end <= max(high, start)
        assert abs(end - start) <= LIMITS.max_velocity[joint] * DT * (1 + NEAR)
        assert min(start, wanted[joint]) - NEAR <= end <= max(start, wanted[joint]) + NEAR
    was = broken(before.command)
    for what, amount in broken(action).items():
        assert amount <= was[what] + NEAR, f"{what} is broken, or more than before"
    moved_m = dist(GEOMETRY.pose(before.command).position_m, GEOMETRY.pose(action).position_m)
    assert moved_m <= 1.0 * DT * (1 + NEAR)


@given(
    seed=st.integers(0, 2**32 - 1),
    style=st.sampled_from(["path", "jumps", "noise", "broken"]),
    start=STARTS,
    is_turned_round=st.booleans(),
)
def test_no_action_breaks_a_promise(seed: int, style: str, start: Vector, is_turned_round: bool) -> None:
    chain, again = (whole_chain(is_turned_round=is_turned_round) for _ in range(2))
    random = np.random.default_rng(seed)
    arm = Arm(start)
    for wanted in wishes(style, random, start):
        arm.cycle += 1
        result = chain.evaluate(arm.given(wanted))
        assert "contradict" not in result.deciding.reason
        if style == "broken":
            assert result.action is None and result.deciding.decision >= Decision.REJECT
            continue
        if result.action is None:
            assert result.deciding.check == "unit_suspicion", result.deciding
            arm.held()
            continue
        check_step(arm, wanted, result)
        if arm.cycle % 3 == 0:
            once = again.evaluate(arm.given(result.action))
            assert once.action == result.action and once.deciding.decision is Decision.PASS, once.deciding
        arm.moved(result.action)
    event(f"{style}: {'moved' if arm.command != start else 'stayed'}")
