# SPDX-License-Identifier: Apache-2.0
"""Boundaries in force: an SO-101's whole guard, from the chunk queue to the command, under the shipped task."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np
import pytest

from lerobot_arena.core.hardware import HostHealth
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.checks.protocol import TABLE
from lerobot_arena.guard.knowledge import ArmModel
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.testing.check_examples import good_cycle, so101_body
from lerobot_arena.testing.guard_world import GuardWorld, plain_config

if find_spec("mujoco") is None:
    pytest.skip("MuJoCo is missing: `make test` installs it", allow_module_level=True)

BODY = so101_body()
HERE = good_cycle().measured
DT = 0.02
# Without the gentle start, which would hide what the boundaries do.
AT_ONCE = GuardParams(ramp_s=0.0)


def towards(goal: Sequence[float]) -> Callable[[Sequence[float]], FloatArray]:
    """A policy that goes straight to `goal` at 1 rad/s."""

    def policy(measured: Sequence[float]) -> FloatArray:
        here, there = np.array(measured), np.array(goal)
        share = np.minimum(np.arange(30) / 30 / max(float(np.abs(there - here).max()), 1e-9), 1.0)
        return here + share[:, None] * (there - here)

    return policy


def world(goal: Sequence[float]) -> GuardWorld:
    host = HostHealth(20.0, 40.0, 50.0, 10**10)
    return GuardWorld(
        params=AT_ONCE,
        policy=towards(goal),
        measured=HERE,
        config=shipped_config(),
        model=ArmModel(BODY.geometry),
        host=host,
    )


def tip(joints: Sequence[float]) -> tuple[float, float, float]:
    assert BODY.geometry is not None
    return BODY.geometry.pose(tuple(joints)).position_m


def test_an_ordinary_motion_passes_untouched() -> None:
    goal = (0.5, -0.5, 0.8, 1.0, 0.1, 0.2)
    guarded = world(goal)
    guarded.start()
    guarded.step(150)
    assert guarded.measured == pytest.approx(goal, abs=1e-3)
    assert not [c for c in guarded.ports.cycles if c.decision > Decision.CLAMP]
    clamped = [c for c in guarded.ports.cycles if c.outcome == Outcome.ADJUSTED]
    assert {v.check for c in clamped for v in c.verdicts if v.decision > Decision.PASS} <= {"acceleration"}


@pytest.mark.parametrize(
    ("goal", "boundary"),
    [
        ((0.0, 0.6, 0.3, 0.9, 0.1, 0.2), "table"),
        ((0.0, -1.6, 1.6, 1.5, 0.1, 0.5), "self_collision"),
        ((1.9, -0.8, 0.5, 1.4, 0.1, 0.8), "workspace"),
    ],
)
def test_a_policy_that_goes_on_is_stopped_at_the_edge_and_let_back(
    goal: tuple[float, ...], boundary: str
) -> None:
    assert BODY.geometry is not None
    guarded = world(goal)
    guarded.start()
    guarded.step(200)
    last = guarded.ports.cycles[-1]
    blaming = {v.check for v in last.verdicts if v.decision == Decision.CLAMP}
    assert boundary in blaming and last.outcome == Outcome.ADJUSTED and last.executed != last.proposed
    for command in guarded.ports.commands:
        x, y, z = tip(command.positions)
        assert x >= -1e-9 and abs(y) <= 0.42 + 1e-9 and -0.02 <= z <= 0.5
        for (first, _), gap in BODY.geometry.near(command.positions).items():
            assert gap >= (0.0 if first == TABLE else 0.002) - 1e-9
    guarded.policy = towards(HERE)
    guarded.step(250)
    assert guarded.measured == pytest.approx(HERE, abs=1e-3), "the way back is free"


def test_acceleration_builds_up_from_cycle_to_cycle() -> None:
    soft = plain_config(0, Boundary("smooth", (Node("jerk", params={"rise_time_s": 0.1}),)))
    guarded = GuardWorld(params=AT_ONCE, policy=towards((1.5, 0.0, 0.0, 0.0, 0.0, 0.0)), config=soft)
    guarded.chunk_dt_s = 1 / 90
    guarded.start()
    guarded.step(12)
    positions = np.array([[0.0] * 6, *(c.positions for c in guarded.ports.commands)])[:, 0]
    speeds = np.diff(positions) / DT
    gains = np.diff(np.concatenate([[0.0], speeds])) / DT
    assert gains[:4] == pytest.approx([6.0, 12.0, 18.0, 24.0], abs=0.01)
    assert np.diff(gains).max() <= 6.0 + 1e-6


def test_a_start_without_the_model_that_the_task_needs_is_refused_with_the_reason() -> None:
    blind = GuardWorld(config=shipped_config(), model=ArmModel(None, "MuJoCo is not installed"))
    answer = blind.arm.start()
    assert not answer.success and "MuJoCo is not installed" in answer.message
    blind.want(task="any_arm")
    blind.host = HostHealth(20.0, 40.0, 50.0, 10**10)
    blind.say_health()
    assert blind.arm.start().success
