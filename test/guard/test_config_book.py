# SPDX-License-Identifier: Apache-2.0
"""Boundaries and tasks on one arm: whole or not at all, at a cycle edge, looser only when nothing moves."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.session import RUNNING
from lerobot_arena.core.verdict import Outcome
from lerobot_arena.guard.boundary import MOST_BOUNDARIES, Boundary, Node
from lerobot_arena.guard.config_book import read_config
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.verify.world import GuardWorld, plain_config

PERIOD = 0.02


def limited(version: int, limit: float, **node: Any) -> GuardConfig:
    params = {"max_velocity": [limit] * 6}
    return plain_config(version, Boundary("speed", (Node("velocity", params=params, **node),)))


def with_task(config: GuardConfig, **task: Any) -> GuardConfig:
    entry = json.loads(config.tasks[0].config) | task
    return replace(config, tasks=(TaskWanted("default", json.dumps(entry)),))


def moving(**options: Any) -> GuardWorld:
    """A run that wants to go as fast as it may, to and fro."""
    sides = iter(range(10**6))
    world = GuardWorld(
        policy=lambda m: np.full((30, 6), 1.4 if next(sides) % 2 else -0.1),
        params=GuardParams(ramp_s=0.0),
        **({"config": limited(1, 1.0)} | options),
    )
    world.start()
    world.step(10)
    return world


def fastest(world: GuardWorld, since: int) -> float:
    positions = [command.positions for command in world.commands[since:]]
    return float(np.abs(np.diff(positions, axis=0)).max()) / PERIOD


def test_tighter_is_in_force_in_the_next_cycle_and_proven_by_effect() -> None:
    world = moving()
    assert fastest(world, 3) == pytest.approx(1.0, abs=1e-6)
    sent = len(world.commands)
    world.arm.on_config(limited(2, 0.25))
    record = world.step()
    assert record.config_version == world.arm.state().config_version == 2
    assert record.outcome is not Outcome.HELD, "no cycle is lost"
    world.step(20)
    assert fastest(world, sent) <= 0.25 + 1e-9
    assert max(c.config_version for c in world.ports.cycles[:-21]) == 1, "not before"


def test_looser_waits_for_the_end_of_the_run_and_says_so() -> None:
    world = moving()
    sent = len(world.commands)
    world.arm.on_config(limited(2, 2.0))
    state = world.arm.state()
    assert (state.config_version, state.config_refused) == (1, 2)
    assert "Stop the run first" in state.config_problem and world.ports.warnings
    world.step(20)
    assert fastest(world, sent) <= 1.0 + 1e-9 and world.state == RUNNING
    world.arm.stop()
    state = world.arm.state()
    assert (state.config_version, state.config_refused, state.config_problem) == (2, 0, "")
    world.start()
    world.step(40)
    assert fastest(world, len(world.commands) - 30) == pytest.approx(2.0, abs=1e-6)


def test_looser_waits_also_for_a_run_that_ends_by_itself() -> None:
    world = moving()
    world.arm.on_config(limited(2, 2.0))
    world.is_inference_alive = False
    world.step(150)
    world.arm.refresh()
    assert world.arm.state().config_version == 2


LOOSER: list[tuple[str, GuardConfig]] = [
    ("a boundary is gone", GuardConfig(2, limited(2, 1.0).boundaries, (
        TaskWanted("default", json.dumps({"name": "default", "boundaries": ["speed"]})),))),
    ("more patience", limited(2, 1.0, warn_frames=3)),
    ("another task's time", with_task(limited(2, 1.0), timeout_s=0.0)),
    ("a faster task", with_task(limited(2, 1.0), limits={"velocity_scale": 1.0})),
    ("the task is gone", GuardConfig(2, limited(2, 1.0).boundaries, (
        TaskWanted("other", json.dumps({"name": "other", "boundaries": ["speed"]})),))),
]  # fmt: skip


def two_boundaries(version: int) -> GuardConfig:
    """A task of limited time and speed with a second boundary."""
    boundaries = (
        Boundary("speed", (Node("velocity", params={"max_velocity": [1.0] * 6}),)),
        Boundary("second", (Node("acceleration", params={"max_acceleration": [20.0] * 6}),)),
    )
    config = plain_config(version, *boundaries)
    return with_task(config, timeout_s=60.0, limits={"velocity_scale": 0.5})


@pytest.mark.parametrize(("what", "config"), LOOSER, ids=[what for what, _ in LOOSER])
def test_whatever_could_allow_more_is_refused_while_it_moves(what: str, config: GuardConfig) -> None:
    world = moving(config=two_boundaries(1))
    world.arm.on_config(config)
    world.step(5)
    assert world.arm.state().config_version == world.ports.cycles[-1].config_version == 1
    assert world.arm.state().config_refused == 2 and world.state == RUNNING


def test_what_does_not_concern_the_running_task_is_taken() -> None:
    world = moving(config=two_boundaries(1))
    other = json.dumps({"name": "other", "boundaries": ["speed"]})
    grown = replace(two_boundaries(2), tasks=(*two_boundaries(2).tasks, TaskWanted("other", other)))
    world.arm.on_config(grown)
    assert world.step().config_version == 2


def speed_text(**values: Any) -> str:
    return json.dumps({"name": "speed", "nodes": [{"callback": "velocity", **values}]})


BAD: dict[str, tuple[str, str]] = {
    "half a file": (speed_text()[:20], "not JSON"),
    "no mapping": ("[]", "mapping"),
    "an unknown key": (speed_text(parms={}), "Did you mean 'params'?"),
    "an unknown check": (speed_text(callback="velocty"), "Did you mean 'velocity'?"),
    "an unknown parameter": (speed_text(params={"max_velocit": []}), "Did you mean 'max_velocity'?"),
    "five numbers for six joints": (speed_text(params={"max_velocity": [1.0] * 5}), "5 numbers for the 6 joints"),
    "NaN": (speed_text(params={"max_velocity": [float("nan")] * 6}), "finite"),
    "a negative rate": (speed_text(params={"max_velocity": [-1.0] * 6}), "between"),
    "lower above upper": (
        speed_text(callback="position_limits", params={"lower": [1.0] * 6, "upper": [0.0] * 6}), "not below",
    ),
    "another name than its label": (speed_text().replace('"speed"', '"sped"'), "calls itself 'sped'"),
    "a check that is always there": (speed_text(callback="finite"), "always there"),
    "no nodes": (json.dumps({"name": "speed", "nodes": []}), "nodes"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), BAD.values(), ids=BAD.keys())
@pytest.mark.parametrize("is_running", [True, False])
def test_a_bad_config_is_refused_whole_with_the_reason(text: str, words: str, is_running: bool) -> None:
    world = moving()
    if not is_running:
        world.arm.stop()
    tasks = limited(2, 1.0).tasks
    # The good half of it must not be taken either.
    other = BoundaryWanted("extra", 1, json.dumps({"name": "extra", "nodes": [{"callback": "velocity"}]}))
    world.arm.on_config(GuardConfig(2, (other, BoundaryWanted("speed", 1, text)), tasks))
    state = world.arm.state()
    assert (state.config_version, state.config_refused) == (1, 2)
    assert words in state.config_problem
    world.arm.on_config(limited(3, 0.5))
    state = world.arm.state()
    assert (state.config_version, state.config_refused, state.config_problem) == (3, 0, "")


def test_a_boundary_for_another_kind_of_arm_is_no_reason_as_long_as_no_task_here_names_it() -> None:
    node = {"callback": "velocity", "params": {"max_velocity": [1.0] * 7}}
    seven = BoundaryWanted("seven", 1, json.dumps({"name": "seven", "nodes": [node]}))
    world = GuardWorld(config=limited(1, 1.0))
    config = limited(2, 1.0)
    world.arm.on_config(replace(config, boundaries=(*config.boundaries, seven)))
    assert world.arm.state().config_version == 2
    named = with_task(
        replace(config, version=3, boundaries=(*config.boundaries, seven)), boundaries=["seven"]
    )
    world.arm.on_config(named)
    assert world.arm.state().config_refused == 3 and "does not fit" in world.arm.state().config_problem


def test_names_are_unique_and_numbers_bounded() -> None:
    one = limited(1, 1.0)
    with pytest.raises(InvalidInput, match="there twice"):
        read_config(replace(one, boundaries=one.boundaries * 2))
    with pytest.raises(InvalidInput, match="At most"):
        read_config(replace(one, boundaries=one.boundaries * (MOST_BOUNDARIES + 1)))


def test_a_config_in_which_the_task_is_gone_refuses_the_next_start() -> None:
    world = GuardWorld(config=limited(1, 1.0))
    world.arm.on_config(GuardConfig(2))
    assert world.arm.state().config_version == 2
    assert "There is no task 'default'" in world.arm.start().message


def test_an_unchanged_boundary_remembers_what_it_saw() -> None:
    """A reload must not start the time of a node again, nor a debounce."""
    timed = Boundary("timed", (Node("acceleration", timeout_sec=1.0),))
    speed = Boundary("speed", (Node("velocity", params={"max_velocity": [1.0] * 6}),))
    slower = Boundary("speed", (Node("velocity", params={"max_velocity": [0.5] * 6}),))
    world = moving(config=plain_config(1, timed, speed))
    world.step(30)
    world.arm.on_config(plain_config(2, timed, slower))
    world.step(20)
    assert "timed has been active" in world.ports.cycles[-1].reason
