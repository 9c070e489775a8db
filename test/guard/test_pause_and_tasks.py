# SPDX-License-Identifier: Apache-2.0
"""Pausing, runs of limited length, tasks and their time, and boundaries with phases."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.session import EMERGENCY, PAUSED, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Boundary, Condition, Node
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.verify.world import GuardWorld, plain_config

PERIOD = 0.02


def to(value: float) -> Any:
    return lambda measured: np.full((30, 6), value)


def configured(*boundaries: Boundary, version: int = 0, **task: Any) -> GuardConfig:
    """A task `default` with these boundaries and further fields, and a task `other` without them."""
    names = [boundary.name for boundary in boundaries]
    speed = Boundary("speed", (Node("velocity"),))
    tasks = [
        {"name": "default", "boundaries": names or ["speed"], **task},
        {"name": "other", "boundaries": ["speed"], "virtual_boundaries": ["speed"]},
    ]
    return GuardConfig(
        version,
        tuple(BoundaryWanted(b.name, 1, json.dumps(b.mapping())) for b in (*boundaries, speed)),
        tuple(TaskWanted(str(entry["name"]), json.dumps(entry)) for entry in tasks),
    )


# Pause and resume


def test_a_pause_is_silent_at_once_and_keeps_the_run() -> None:
    world = GuardWorld(policy=to(0.5))
    world.start()
    epoch, sent = world.arm.state().epoch, len(world.commands)
    assert world.arm.pause().success and world.arm.pause().message == "It is paused already."
    world.step(300)
    state = world.arm.state()
    assert (state.state, state.epoch, len(world.commands)) == (PAUSED, epoch, sent), "however long"
    assert state.queue_steps == 0, "what was planned before is not played after"
    assert world.arm.resume().success
    assert world.arm.state().epoch > epoch
    world.step(5)
    assert len(world.commands) > sent and world.state == RUNNING


def test_a_chunk_of_the_epoch_before_the_pause_is_not_played() -> None:
    world = GuardWorld(policy=to(0.5))
    world.latency_s = 0.5
    world.start()
    old = world.ports.requests[-1]
    world.arm.pause()
    world.arm.resume()
    sent = len(world.commands)
    world.arm.on_chunk(world.make_chunk(old))
    world.step(2)
    assert len(world.commands) == sent


def test_resume_starts_where_the_arm_was_moved_to_and_ramps_in() -> None:
    world = GuardWorld(policy=to(0.5), params=GuardParams(ramp_s=0.5))
    world.start()
    world.step(40)
    world.arm.pause()
    world.measured[0] -= 1.0
    world.step(100)
    world.arm.resume()
    sent = len(world.commands)
    world.step(40)
    pans = [world.measured[0], *(c.positions[0] for c in world.commands[sent:])]
    first = abs(world.commands[sent].positions[0] - (0.5 - 1.0))
    assert first <= 3.0 * PERIOD * 0.2, f"no jump back to the old target: {first}"
    speeds = np.abs(np.diff([c.positions[0] for c in world.commands[sent:]])) / PERIOD
    for number, speed in enumerate(speeds):
        assert speed <= 3.0 * max(0.1, (number + 4) * PERIOD / 0.5) + 1e-9
    assert pans[-1] == pytest.approx(0.5, abs=0.2)


def test_what_cannot_be_paused_or_resumed_says_so() -> None:
    world = GuardWorld()
    assert "Only a running arm" in world.arm.pause().message
    assert "Nothing is paused" in world.arm.resume().message
    world.start()
    assert "Only a paused arm" in world.arm.resume().message
    world.arm.pause()
    assert "paused: resume it" in world.arm.start().message
    world.arm.stop()
    assert world.state == STOPPED and "Only a paused arm" in world.arm.resume().message


def test_resume_needs_what_a_start_needs() -> None:
    world = GuardWorld()
    world.start()
    world.arm.pause()
    world.are_joints_alive = False
    world.step(30)
    refused = world.arm.resume()
    assert not refused.success and "joint state" in refused.message and world.state == PAUSED


def test_an_estop_in_a_pause_latches() -> None:
    world = GuardWorld()
    world.start()
    world.arm.pause()
    world.arm.estop("test")
    assert world.state == EMERGENCY
    assert "e-stop" in world.arm.resume().message


def test_a_failing_policy_ends_a_paused_run() -> None:
    world = GuardWorld()
    world.start()
    world.arm.pause()
    world.change_status(status="error", error_message="boom", errors=1)
    assert world.state == STOPPED and "boom" in world.arm.state().message


def test_a_config_that_came_in_a_pause_holds_after_it() -> None:
    def limited(version: int, limit: float) -> GuardConfig:
        return plain_config(
            version, Boundary("speed", (Node("velocity", params={"max_velocity": [limit] * 6}),))
        )

    world = GuardWorld(policy=to(1.5), params=GuardParams(ramp_s=0.0), config=limited(4, 1.0))
    world.start()
    world.arm.pause()
    world.arm.on_config(limited(5, 0.2))
    assert world.arm.state().config_version == 5
    world.arm.resume()
    sent = len(world.commands)
    world.step(30)
    steps = np.abs(np.diff([c.positions for c in world.commands[sent:]], axis=0))
    assert world.ports.cycles[-1].config_version == 5
    assert 0.0 < steps.max() <= 0.2 * PERIOD + 1e-9


# Runs of limited length, and their period


@pytest.mark.parametrize("count", [1, 10])
def test_a_run_of_n_cycles_sends_n_commands_and_stops(count: int) -> None:
    world = GuardWorld(policy=to(0.3))
    world.latency_s = 0.3
    world.want(n_cycles=count)
    assert world.arm.start().success
    world.step(100)
    assert len(world.commands) == count, "waiting for the first chunk is no cycle of the run"
    assert world.state == STOPPED and "asked for are done" in world.arm.state().message


def test_cycles_go_on_over_a_pause() -> None:
    world = GuardWorld(policy=to(0.3))
    world.want(n_cycles=40)
    world.start()
    before = len(world.commands)
    world.arm.pause()
    world.step(50)
    world.arm.resume()
    world.step(100)
    assert before < len(world.commands) <= 40 and world.state == STOPPED


@pytest.mark.parametrize("count", [0, -2, -5, 10**12])
def test_numbers_of_cycles_that_are_none_are_refused(count: int) -> None:
    world = GuardWorld()
    world.want(n_cycles=count)
    assert "cannot be run" in world.arm.start().message
    world.want(n_cycles=-1)
    assert world.arm.start().success


@pytest.mark.parametrize("budget_ms", [10.0, 50.0])
def test_the_cycle_budget_is_the_period_and_the_deadline(budget_ms: float) -> None:
    world = GuardWorld(policy=to(1.5), params=GuardParams(ramp_s=0.0))
    world.want(cycle_budget_ms=budget_ms)
    world.start()
    assert world.arm.period_s == pytest.approx(budget_ms / 1e3)
    world.step(20)
    assert world.ports.cycles[-1].deadline_ms == pytest.approx(budget_ms)
    assert world.commands[-1].period_s == pytest.approx(budget_ms / 1e3)
    assert world.arm.state().control_rate_hz == pytest.approx(1e3 / budget_ms)
    steps = np.abs(np.diff([c.positions for c in world.commands], axis=0))
    assert (steps <= np.array([3, 3, 3, 4, 4, 4]) * budget_ms / 1e3 + 1e-9).all()
    world.arm.stop()
    assert world.arm.period_s == pytest.approx(PERIOD)


@pytest.mark.parametrize("budget_ms", [float("nan"), float("inf"), -1.0, 1e-3, 1e6])
def test_budgets_that_no_loop_can_keep_are_refused(budget_ms: float) -> None:
    world = GuardWorld()
    world.want(cycle_budget_ms=budget_ms)
    assert "outside 4 to 200 ms" in world.arm.start().message


# Tasks


def test_an_unknown_task_and_a_task_of_another_session_are_refused() -> None:
    world = GuardWorld(config=configured(session_id="elsewhere"))
    world.want(task="defualt")
    assert "Did you mean 'default'?" in world.arm.start().message
    world.want(task="default")
    assert "is for session 'elsewhere'" in world.arm.start().message
    world.want(task="other")
    world.start()
    assert world.arm.state().task == world.ports.cycles[-1].task == "other"


def test_the_default_task_is_what_a_plain_start_means() -> None:
    world = GuardWorld(config=configured())
    assert world.arm.state().task == "default" and world.arm.state().active_boundaries == ("speed",)
    world.start()
    assert world.ports.cycles[-1].active_boundaries == ("speed",)


def test_a_task_may_use_a_share_of_the_limits_only() -> None:
    scales = {"velocity_scale": 0.5, "acceleration_scale": 0.5}
    world = GuardWorld(policy=to(1.5), config=configured(limits=scales), params=GuardParams(ramp_s=0.0))
    world.start()
    world.step(30)
    path = np.array([c.positions for c in world.commands])
    speeds = np.abs(np.diff(path, axis=0)) / PERIOD
    assert (speeds <= np.array([1.5, 1.5, 1.5, 2.0, 2.0, 2.0]) + 1e-9).all() and speeds.max() > 1.0
    growth = np.diff(np.abs(speeds), axis=0) / PERIOD
    assert (growth <= np.array([15, 15, 15, 20, 20, 30]) + 1e-6).all()


def test_the_time_of_a_task_is_running_time() -> None:
    world = GuardWorld(config=configured(timeout_s=1.0))
    world.start()
    world.step(20)
    world.arm.pause()
    world.step(200)
    world.arm.resume()
    world.step(15)
    assert world.state == RUNNING, "paused time does not count"
    world.step(25)
    assert world.state == STOPPED and "The task has run" in world.arm.state().message


def test_the_time_of_a_node_is_running_time_and_ends_in_a_stop() -> None:
    world = GuardWorld(config=configured(Boundary("brief", (Node("velocity", timeout_sec=0.5),))))
    world.start()
    world.step(15)
    world.arm.pause()
    world.step(100)
    world.arm.resume()
    world.step(5)
    assert world.state == RUNNING and world.ports.cycles[-1].outcome is not Outcome.HELD
    world.step(10)
    record = world.ports.cycles[-1]
    assert record.decision is Decision.REJECT and "brief has been active" in record.reason
    world.step(60)
    assert world.state == STOPPED


# Phases


def slow_node(node_id: str, limit: float, **values: Any) -> Node:
    return Node("velocity", node_id, {"max_velocity": [limit] * 6}, **values)


def phases(kind: str, *nodes: Node, loop: bool = False) -> GuardWorld:
    boundary = Boundary("phases", nodes, kind, loop=loop)
    sway = iter(range(10**6))
    world = GuardWorld(
        policy=lambda m: np.full((30, 6), 1.4 if next(sway) % 2 else -0.1),
        config=configured(boundary),
        params=GuardParams(ramp_s=0.0),
    )
    world.start()
    return world


def active(world: GuardWorld) -> str:
    return world.ports.cycles[-1].active_boundaries[0]


def fastest(world: GuardWorld, cycles: int) -> float:
    world.step(2)
    sent = len(world.commands)
    world.step(cycles)
    return float(np.abs(np.diff([c.positions for c in world.commands[sent:]], axis=0)).max()) / PERIOD


def test_a_list_goes_on_when_its_next_node_may_enter_and_its_numbers_hold() -> None:
    world = phases(
        "list",
        slow_node("approach", 0.5),
        slow_node("grasp", 0.1, enter_when=Condition(elapsed_s=1.0)),
    )
    assert active(world) == "phases.approach" and fastest(world, 20) == pytest.approx(0.5, abs=1e-6)
    world.step(30)
    assert active(world) == "phases.grasp" and fastest(world, 20) == pytest.approx(0.1, abs=1e-6)
    world.step(200)
    assert active(world) == "phases.grasp", "the last one stays"


def test_a_looping_list_begins_again() -> None:
    world = phases(
        "list",
        slow_node("a", 0.5, enter_when=Condition(elapsed_s=0.4)),
        slow_node("b", 0.2, enter_when=Condition(elapsed_s=0.4)),
        loop=True,
    )
    seen = []
    for _ in range(100):
        world.step()
        if not seen or seen[-1] != active(world):
            seen.append(active(world))
    assert seen[:4] == ["phases.a", "phases.b", "phases.a", "phases.b"]


def test_a_graph_goes_where_the_gripper_says() -> None:
    world = phases(
        "graph",
        slow_node("free", 0.5, next=("closed", "open")),
        slow_node("closed", 0.1, enter_when=Condition(gripper="closed"), next=("open",)),
        slow_node("open", 0.2, enter_when=Condition(gripper="open"), next=("closed",)),
    )
    world.arm.pause()
    for gripper, node in ((0.0, "closed"), (1.6, "open"), (0.8, "open"), (0.0, "closed")):
        world.measured[5] = gripper
        world.step(40)  # by hand, in a second
        assert world.arm.resume().success
        world.step()
        assert active(world) == f"phases.{node}"
        world.arm.pause()


def test_a_phase_counts_its_own_time_from_when_it_began() -> None:
    world = phases(
        "list",
        slow_node("a", 0.5),
        slow_node("b", 0.2, enter_when=Condition(elapsed_s=1.0), timeout_sec=1.0),
    )
    world.step(80)
    assert active(world) == "phases.b" and world.ports.cycles[-1].outcome is not Outcome.HELD
    world.step(30)
    assert world.ports.cycles[-1].decision is Decision.REJECT
    assert "phases.b has been active" in world.ports.cycles[-1].reason


def test_phases_go_on_over_a_pause() -> None:
    world = phases("list", slow_node("a", 0.5), slow_node("b", 0.2, enter_when=Condition(elapsed_s=0.5)))
    world.step(40)
    assert active(world) == "phases.b"
    world.arm.pause()
    world.step(30)
    world.arm.resume()
    world.step(5)
    assert active(world) == "phases.b", "a resumed run does not begin its phases again"


def test_a_virtual_arm_is_guarded_by_its_own_list() -> None:
    config = configured()
    world = GuardWorld(is_virtual=True, unit="normalized", measured=[10.0] * 6, config=config)
    assert "names no virtual_boundaries" in world.arm.start().message
    world.want(task="other")
    world.start()
    assert world.ports.cycles[-1].active_boundaries == ("speed",)
    assert replace(world.ports.cycles[-1]).unit == "normalized"
