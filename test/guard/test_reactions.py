# SPDX-License-Identifier: Apache-2.0
"""What is done about objections, how it grows, and how it ends; first the rules alone, then in a whole guard."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from lerobot_arena.core.clock import NS
from lerobot_arena.core.hardware import HardwareReading, Score
from lerobot_arena.core.reaction import EMERGENCY_STOP, HOLD, NONE, RETREAT, SLOW_DOWN, STOP
from lerobot_arena.core.session import EMERGENCY, IDLE, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.reactions import Answer, ReactionRules, Reactions
from lerobot_arena.guard.seat import Trigger
from lerobot_arena.guard.verify.world import GuardWorld, plain_config

PERIOD = 0.02
RULES = ReactionRules(
    hold_grace_s=0.2, first_chunk_s=1.0, slow_release_s=0.1, slow_limit_s=0.5, retreat_s=0.3
)


class Scene:
    """Reactions with a clock of 50 Hz."""

    def __init__(self, rules: ReactionRules = RULES) -> None:
        self.reactions = Reactions(rules)
        self.now_ns = 10 * NS
        self.changes: list[tuple[str, str]] = []

    def look(self, *triggers: Trigger, cycles: int = 1, **values: Any) -> Answer:
        given: dict[str, Any] = {"is_free": not triggers, "is_waiting": False, "reason": "why"}
        for _ in range(cycles):
            answer = self.reactions.look(self.now_ns, triggers, **(given | values))
            self.changes += [(change.kind, change.reaction) for change in answer.changes]
            self.now_ns += round(PERIOD * NS)
        return answer


def objection(reaction: str, name: str = "check", **values: Any) -> Trigger:
    return Trigger(name, name, Decision.REJECT, reaction, f"{name} objects", **values)


def test_nothing_objects_nothing_happens() -> None:
    scene = Scene()
    assert scene.look(cycles=100) == Answer(True) and not scene.changes


def test_a_hold_ends_with_its_objection_and_grows_into_a_stop() -> None:
    scene = Scene()
    held = scene.look(objection(HOLD), cycles=9)
    assert not held.may_send and held.reaction == HOLD and not held.stop_because
    assert scene.look().may_send, "it goes on by itself"
    assert scene.changes == [("enter", HOLD), ("exit", HOLD)]
    assert not scene.look(objection(HOLD), cycles=10).stop_because, "the time starts again"
    ended = scene.look(objection(HOLD))
    assert ended.reaction == STOP and "holding for 0.2 s" in ended.stop_because
    assert scene.changes[-1] == ("escalate", STOP)


def test_a_lasting_objection_of_a_latching_check_latches_unless_the_arm_is_virtual() -> None:
    latching = objection(HOLD, is_latching=True)
    ended = Scene().look(latching, cycles=11)
    assert ended.reaction == EMERGENCY_STOP and ended.emergency_because and not ended.stop_because
    virtual = Scene(replace(RULES, may_latch=False)).look(latching, cycles=11)
    assert virtual.reaction == STOP and virtual.stop_because and not virtual.emergency_because


def test_waiting_for_the_first_chunk_has_its_own_patience() -> None:
    scene = Scene()
    waiting = scene.look(cycles=49, is_free=False, is_waiting=True)
    assert waiting.reaction == NONE and not waiting.stop_because
    assert scene.look(cycles=2, is_free=False, is_waiting=True).stop_because


@pytest.mark.parametrize("reaction", [STOP, EMERGENCY_STOP])
def test_a_stop_comes_at_once_from_whatever_is_going_on(reaction: str) -> None:
    for first in (HOLD, SLOW_DOWN, RETREAT):
        scene = Scene()
        scene.look(objection(first, "first"))
        ended = scene.look(objection(first, "first"), objection(reaction, "second"))
        assert ended.reaction == reaction and not ended.may_send
        assert ("preempt", reaction) in scene.changes
        assert "second objects" in ended.stop_because + ended.emergency_because


def test_slowing_down_lasts_until_nobody_has_objected_for_a_while() -> None:
    scene = Scene()
    slow = objection(SLOW_DOWN)
    assert scene.look(slow, is_free=True).may_send and scene.reactions.speed == RULES.slow_factor
    # It comes and goes more quickly than the release time: no flicker.
    for _ in range(5):
        scene.look(cycles=3)
        scene.look(slow, is_free=True)
    assert scene.changes == [("enter", SLOW_DOWN)] and scene.reactions.speed == RULES.slow_factor
    scene.look(cycles=6)
    assert scene.changes == [("enter", SLOW_DOWN), ("exit", SLOW_DOWN)] and scene.reactions.speed == 1.0


def test_slowing_down_that_does_not_help_becomes_a_hold_and_then_a_stop() -> None:
    scene = Scene()
    slow = objection(SLOW_DOWN)
    assert scene.look(slow, is_free=True, cycles=26).may_send
    held = scene.look(slow, is_free=True)
    assert not held.may_send and held.reaction == HOLD
    assert ("escalate", HOLD) in scene.changes
    assert "did not help" in scene.look(slow, is_free=True, cycles=11).stop_because


def test_a_retreat_excuses_who_asked_for_it_and_ends_in_a_stop() -> None:
    scene = Scene()
    back = objection(RETREAT, "box")
    assert not scene.look(back).may_send
    assert scene.reactions.is_retreating and scene.reactions.excused == {"box"}
    assert scene.look(back, is_free=True).may_send
    assert "Went back" in scene.look(back, is_free=True, path_is_over=True).stop_because
    blocked = Scene()
    blocked.look(back)
    assert (
        "Could not go back (why)" in blocked.look(back, objection(HOLD, "other"), is_free=False).stop_because
    )
    endless = Scene()
    endless.look(back)
    assert "Went back" in endless.look(back, is_free=True, cycles=17).stop_because, "its time is limited"


def test_the_arm_is_pulled_back_once_per_hold() -> None:
    scene = Scene()
    pushing = objection(HOLD, hold_at_measured=True)
    assert [scene.look(pushing).hold_at_measured for _ in range(4)] == [True, False, False, False]
    scene.look()
    assert scene.look(pushing).hold_at_measured
    assert Scene().look(replace(pushing, reaction=STOP)).hold_at_measured


# In a whole guard


def moving(joint: int = 0, speed: float = 0.5) -> Any:
    way = np.zeros(6)
    way[joint] = speed
    return lambda measured: np.array(measured) + np.arange(30)[:, None] / 30 * way


def guarded(node: Node, params: GuardParams | None = None, **options: Any) -> GuardWorld:
    world = GuardWorld(
        policy=options.pop("policy", moving()),
        config=plain_config(0, Boundary("mine", (node,))),
        params=params or GuardParams(ramp_s=0.0),
        **options,
    )
    world.start()
    return world


def suspicious(world: GuardWorld, *, is_bad: bool = True) -> None:
    world.scores = (Score("ood", 2.0 if is_bad else 0.1, 1.0),)


def kinds(world: GuardWorld) -> list[tuple[str, str]]:
    return [(event.kind, event.reaction) for event in world.ports.events]


def test_slow_down_halves_the_speed_and_ends_after_the_release_time() -> None:
    world = guarded(Node("ood", fallback=SLOW_DOWN), policy=lambda m: np.full((30, 6), 1.5))
    suspicious(world)
    world.step(25)
    fast = [c.positions[0] for c in world.commands[-3:]]
    speed = (fast[-1] - fast[-2]) / PERIOD
    assert world.ports.cycles[-1].reaction == SLOW_DOWN and world.ports.cycles[-1].decision is Decision.CLAMP
    assert speed == pytest.approx(1.5, abs=0.01), "half of 3 rad/s"
    suspicious(world, is_bad=False)
    world.step(200)
    assert world.ports.cycles[-1].reaction == NONE
    assert kinds(world) == [("enter", SLOW_DOWN), ("exit", SLOW_DOWN)]
    assert world.state == RUNNING


def test_slow_down_that_lasts_becomes_a_stop_with_the_reason() -> None:
    world = guarded(
        Node("ood", fallback=SLOW_DOWN),
        params=GuardParams(slow_limit_s=1.0, hold_grace_s=0.5),
        policy=moving(0, 0.1),
    )
    suspicious(world)
    world.step(150)
    assert world.state == STOPPED and "did not help" in world.arm.state().message
    assert kinds(world)[-2:] == [("escalate", HOLD), ("escalate", STOP)]


def test_a_retreat_follows_the_executed_path_back_and_stops() -> None:
    world = guarded(Node("ood", fallback=RETREAT), params=GuardParams(ramp_s=0.0, retreat_s=10.0))
    world.step(60)
    suspicious(world)
    while world.ports.cycles[-1].reaction != RETREAT:
        world.step()
    turned = len(world.commands)
    path = [command.positions[0] for command in world.commands]
    world.step(600)
    assert world.state == STOPPED and "Went back along the path" in world.arm.state().message
    way_back = [command.positions[0] for command in world.commands[turned:]]
    assert all(b <= a + 1e-12 for a, b in pairwise(way_back)), "only back"
    assert way_back[-1] == pytest.approx(path[0], abs=1e-9), "all the way"
    steps = [abs(b - a) for a, b in pairwise([path[-1], *way_back])]
    assert max(steps) <= 0.5 * 3.0 * PERIOD + 1e-9, "slowly"
    asked = len(world.ports.requests)
    assert asked == len([r for r in world.ports.requests if r.epoch == world.arm.state().epoch]), "one epoch"
    assert kinds(world) == [("enter", RETREAT), ("escalate", STOP)]


@pytest.mark.parametrize("frames", [1, 4])
def test_objections_before_the_last_of_warn_frames_are_warnings(frames: int) -> None:
    node = Node("temperature", params={"warn_c": 60.0, "max_c": 70.0}, warn_frames=frames)
    cold = HardwareReading(0, GuardWorld().robot.joint_names, (30.0,) * 6)
    world = guarded(node, hardware=cold)
    world.hardware = replace(cold, temperature_c=(90.0,) * 6)
    records = []
    for _ in range(frames):
        world.step()
        records.append(world.ports.cycles[-1])
    assert [r.decision for r in records] == [Decision.CLAMP] * (frames - 1) + [Decision.FAULT]
    assert [r.outcome is Outcome.HELD for r in records] == [False] * (frames - 1) + [True]
    assert all(f"of {frames}" in r.reason for r in records[:-1])
    world.hardware = cold
    world.step()
    world.hardware = replace(cold, temperature_c=(90.0,) * 6)
    world.step()
    assert (world.ports.cycles[-1].outcome is Outcome.HELD) == (frames == 1), "the count starts again"


def test_a_following_error_ends_with_one_command_to_where_the_arm_is() -> None:
    node = Node("following_error", params={"limit_rad": 0.1, "lag_s": 0.0, "window_s": 0.2})
    world = guarded(node, policy=lambda m: np.full((30, 6), 0.5))
    world.is_following = False
    measured = tuple(world.measured)
    world.step(60)
    assert world.state == STOPPED and "from its command" in world.arm.state().message
    assert world.commands[-1].positions == measured
    assert world.commands[-2].positions != measured
    sent = len(world.commands)
    world.step(50)
    assert len(world.commands) == sent


def test_a_boundary_may_ask_for_the_emergency_stop() -> None:
    node = Node("task_timeout", params={"timeout_s": 0.5}, fallback=EMERGENCY_STOP)
    world = guarded(node)
    world.step(60)
    assert world.state == EMERGENCY and world.ports.sink_calls == ["emergency_stop"]
    assert "The task has run" in world.arm.state().message
    assert kinds(world) == [("enter", EMERGENCY_STOP)]


def test_an_estop_whose_sink_raises_still_latches_and_says_so() -> None:
    world = guarded(Node("velocity"))
    world.ports.sink_error = RuntimeError("bus is gone")
    assert world.arm.estop("test").success
    sent = len(world.commands)
    world.step(50)
    state = world.arm.state()
    assert state.state == EMERGENCY and "bus is gone" in state.sink and len(world.commands) == sent


@pytest.mark.parametrize("mode", ["monitor", "log_only"])
def test_without_enforcement_only_what_is_mandatory_counts(mode: str) -> None:
    params = GuardParams(enforcement_mode=mode)
    world = GuardWorld(policy=lambda m: np.full((30, 6), 1.0), params=params)
    world.start()
    assert world.commands[0].positions == pytest.approx((1.0,) * 6), "the policy's own action"
    told = next(cycle.decision for cycle in world.ports.cycles if cycle.executed)
    assert told is (Decision.CLAMP if mode == "monitor" else Decision.PASS)
    assert world.arm.state().enforcement == world.ports.cycles[-1].enforcement == mode
    world.arm.on_publishers(("/evil/node",))
    world.step(100)
    assert world.state == RUNNING, "not safe, and said to be so"
    world.edit_chunk = lambda chunk: replace(chunk, actions=np.full((30, 6), np.nan))
    world.step(60)
    assert world.state == EMERGENCY and "not finite" in world.arm.state().message


def test_a_fault_of_a_slowing_boundary_holds_instead_of_slowing() -> None:
    node = Node(
        "temperature", params={"warn_c": 60.0, "max_c": 70.0, "reject_at_warn": True}, fallback=SLOW_DOWN
    )
    cold = HardwareReading(0, GuardWorld().robot.joint_names, (30.0,) * 6)
    world = guarded(node, hardware=cold)
    world.hardware = None
    world.step(260)
    assert world.state == EMERGENCY, "a sensor that is gone is not answered by going slower"
    refused = world.arm.reset()
    assert not refused.success and "temperature" in refused.message
    assert world.arm.state().reset_refusals
    world.hardware = cold
    world.step(2)
    assert world.arm.reset().success and world.state == IDLE
