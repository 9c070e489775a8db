# SPDX-License-Identifier: Apache-2.0
"""Scenes of guard tests: a policy that moves, chunks that are spoiled, limits that have to be kept."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.testing.guard_world import GuardWorld, Policy

PERIOD = 0.02
ACTION_TIMEOUT = round(GuardParams().action_timeout_s / PERIOD)
JOINT_TIMEOUT = round(GuardParams().joint_timeout_s / PERIOD)
GRACE = round(GuardParams().hold_grace_s / PERIOD)


def moving(*speeds: float) -> Policy:
    """Joints move at these rad/s."""
    speed = np.zeros(6)
    speed[: len(speeds)] = speeds

    def policy(measured: Any) -> Any:
        return np.array(measured) + np.arange(30)[:, None] / 30 * speed

    return policy


def spoil(row: int | slice, joint: int, value: float) -> Callable[[ActionChunk], ActionChunk]:
    def change(chunk: ActionChunk) -> ActionChunk:
        actions = chunk.actions.copy()
        actions[row, joint] = value
        return replace(chunk, actions=actions)

    return change


def tampered(change: Callable[[ActionChunk], ActionChunk], **options: Any) -> GuardWorld:
    """A running world whose chunks are changed from now on."""
    world = GuardWorld(policy=moving(0.5, 0.2), **options)
    world.start()
    world.step(20)
    world.edit_chunk = change
    return world


def assert_limits_kept(world: GuardWorld) -> None:
    limits = world.arm.knowledge.space.limits  # type: ignore[union-attr]
    before = None
    for command in world.commands:
        for value, low, high in zip(command.positions, limits.lower, limits.upper):
            assert low - 1e-9 <= value <= high + 1e-9
        if before is not None and before.epoch == command.epoch and before.sequence + 1 == command.sequence:
            for value, old, most in zip(command.positions, before.positions, limits.max_velocity):
                assert abs(value - old) <= most * 2 * PERIOD + 1e-9
        before = command
