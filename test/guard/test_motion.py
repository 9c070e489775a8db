# SPDX-License-Identifier: Apache-2.0
"""How the limiter's memory starts again after a pause."""

import pytest

from lerobot_arena.guard.motion import MotionMemory

NEAR = (0.1, 0.1)


def test_without_a_last_command_the_arm_is_where_it_is() -> None:
    memory = MotionMemory(NEAR)
    memory.seed([0.3, -0.2])
    assert (memory.command, memory.velocity) == ((0.3, -0.2), (0.0, 0.0))


def test_each_joint_keeps_its_target_while_the_arm_is_near_it() -> None:
    memory = MotionMemory(NEAR, (0.3, -0.2))
    memory.seed([0.25, 0.5])
    assert memory.command == (0.3, 0.5)


def test_a_last_command_of_another_arm_is_forgotten() -> None:
    memory = MotionMemory(NEAR, (0.3,))
    memory.seed([0.31, 0.5])
    assert memory.command == (0.31, 0.5)


def test_a_pause_ends_in_standstill() -> None:
    memory = MotionMemory(NEAR)
    memory.seed([0.0, 0.0])
    memory.moved((0.02, 0.0), 0.02)
    assert memory.velocity == pytest.approx((1.0, 0.0)) and memory.is_seeded
    assert memory.acceleration == pytest.approx((50.0, 0.0))
    memory.moved((0.03, 0.0), 0.02)
    assert memory.acceleration == pytest.approx((-25.0, 0.0))
    memory.pause()
    assert not memory.is_seeded
    memory.seed([0.01, 0.0])
    assert memory.command == (0.03, 0.0)
    assert memory.velocity == memory.acceleration == (0.0, 0.0)
