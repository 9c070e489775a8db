# SPDX-License-Identifier: Apache-2.0
"""Any order of verbs, messages and silences against the promises of a guarded arm, and real threads that race."""

import json
import threading
from collections.abc import Callable
from itertools import pairwise
from math import isfinite

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lerobot_arena.core.guard_config import BoundaryWanted, GuardConfig, TaskWanted
from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED, EmbodimentStatus
from lerobot_arena.guard.boundary import Boundary, Node
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.verify.world import GuardWorld, plain_config

PERIOD = 0.02
RAMP_S = 0.4
HEALTHY = EmbodimentStatus("arm", "model", is_connected=True)
GOALS = st.lists(st.floats(-2.5, 2.5), min_size=6, max_size=6)


def slowed(version: int, limit: float) -> GuardConfig:
    boundary = Boundary("speed", (Node("velocity", params={"max_velocity": [limit] * 6}),))
    return plain_config(version, boundary)


class ControlApi(RuleBasedStateMachine):
    """What may happen when is kept in a few plain variables; everything else is looked up in the world."""

    @initialize(goal=GOALS)
    def begin(self, goal: list[float]) -> None:
        self.goal = goal
        self.world = GuardWorld(
            policy=lambda measured: np.tile(np.array(self.goal), (30, 1)),
            params=GuardParams(ramp_s=RAMP_S, reset_cooldown_s=0.1),
            config=slowed(1, 1.0),
            embodiment=HEALTHY,
        )
        self.speed = 1.0  # what the boundary allows the present run
        self.version = 1
        self.begun_ns = 0  # when the run that is on began or went on
        self.place: tuple[float, ...] = ()
        self.seen = 0
        self.epochs: list[int] = []
        self.expected = IDLE

    def sent(self) -> int:
        return len(self.world.commands)

    def look(self) -> str:
        """The state after something that may have changed it by itself."""
        self.expected = self.world.state
        return self.expected

    def began(self) -> None:
        self.begun_ns, self.seen = self.world.clock.now_ns, self.sent()
        self.place = tuple(self.world.measured)
        self.epochs.append(self.world.arm.state().epoch)
        self.expected = RUNNING

    @rule()
    def start(self) -> None:
        before = self.expected
        answer = self.world.arm.start()
        if before in {EMERGENCY, PAUSED}:
            assert not answer.success
        if before in {IDLE, STOPPED} and answer.success:
            self.speed = self.taken()
            self.began()

    def taken(self) -> float:
        """The limit in force, by the version the guard says is in force."""
        return (
            1.0
            if self.world.arm.state().config_version == 1
            else self.versions[self.world.arm.state().config_version]
        )

    @property
    def versions(self) -> dict[int, float]:
        return self.__dict__.setdefault("_versions", {})

    @rule()
    def pause(self) -> None:
        answer = self.world.arm.pause()
        assert answer.success == (self.expected in {RUNNING, PAUSED})
        self.expected = PAUSED if answer.success else self.expected

    @rule()
    def resume(self) -> None:
        before = self.expected
        answer = self.world.arm.resume()
        assert not answer.success or before == PAUSED
        if answer.success:
            self.began()

    @rule()
    def stop(self) -> None:
        assert self.world.arm.stop().success
        if self.expected in {RUNNING, PAUSED}:
            self.expected = STOPPED

    @rule()
    def estop(self) -> None:
        assert self.world.arm.estop("model").success
        self.expected = EMERGENCY

    @rule()
    def reset(self) -> None:
        answer = self.world.arm.reset()
        assert not answer.success or self.expected not in {RUNNING, PAUSED}
        if answer.success:
            self.expected = IDLE

    @rule(cycles=st.sampled_from([1, 3, 10, 40]))
    def pass_time(self, cycles: int) -> None:
        before, sent = self.expected, self.sent()
        self.world.step(cycles)
        after = self.look()
        if before != RUNNING:
            assert self.sent() == sent, f"{self.sent() - sent} commands while {before}"
            # Only a verb begins, goes on or resets; an embodiment's fault latches a run, not an arm at rest.
            assert after == before
        else:
            assert after in {RUNNING, STOPPED, EMERGENCY}

    @rule(gap_s=st.sampled_from([0.0, 0.005, 0.07, 3.0]))
    def stall(self, gap_s: float) -> None:
        before, sent = self.expected, self.sent()
        self.world.step(period_s=gap_s)
        assert before == RUNNING or self.sent() == sent
        self.look()

    @rule(goal=GOALS)
    def wants(self, goal: list[float]) -> None:
        self.goal = goal

    @rule(bad=st.sampled_from([float("nan"), float("inf"), 1e308]), joint=st.integers(0, 5))
    def spoils(self, bad: float, joint: int) -> None:
        self.goal = [bad if index == joint else value for index, value in enumerate(self.goal)]

    @rule(is_alive=st.booleans())
    def inference(self, is_alive: bool) -> None:
        self.world.is_inference_alive = is_alive

    @rule(goal=GOALS)
    def everything_is_well(self, goal: list[float]) -> None:
        """Without this most of the time nothing could run."""
        self.goal = goal
        self.world.is_inference_alive = self.world.are_joints_alive = True
        self.world.embodiment = HEALTHY
        self.pass_time(10)
        self.reset()
        self.start()
        self.pass_time(40)

    @rule(are_alive=st.booleans())
    def joints(self, are_alive: bool) -> None:
        self.world.are_joints_alive = are_alive

    @rule(is_connected=st.booleans())
    def embodiment(self, is_connected: bool) -> None:
        self.world.embodiment = EmbodimentStatus("arm", "model", is_connected=is_connected)

    @rule(shift=st.lists(st.floats(-0.05, 0.05), min_size=6, max_size=6))
    def pushed(self, shift: list[float]) -> None:
        if self.expected != RUNNING:
            self.world.measured = [a + b for a, b in zip(self.world.measured, shift)]
            self.world.say_joints()

    @rule(age=st.integers(1, 5))
    def old_chunk(self, age: int) -> None:
        requests = self.world.ports.requests
        if len(requests) >= age:
            self.world.arm.on_chunk(self.world.make_chunk(requests[-age]))

    @rule(limit=st.sampled_from([0.1, 0.3, 1.0, 2.0]))
    def configures(self, limit: float) -> None:
        self.version += 1
        self.versions[self.version] = limit
        self.world.arm.on_config(slowed(self.version, limit))
        if self.expected in {RUNNING, PAUSED} and limit <= self.speed:
            assert self.world.arm.state().config_version == self.version
            self.speed = limit
            self.seen = self.sent()
        elif self.expected in {RUNNING, PAUSED}:
            assert self.world.arm.state().config_refused == self.version
        self.look()

    @rule()
    def half_a_config(self) -> None:
        before = self.world.arm.state().config_version
        self.version += 1
        self.versions[self.version] = 99.0
        bad = GuardConfig(
            self.version,
            (BoundaryWanted("speed", 1, '{"name": "speed", "nodes": [{"callb'),),
            (TaskWanted("default", json.dumps({"name": "default", "boundaries": ["speed"]})),),
        )
        self.world.arm.on_config(bad)
        assert self.world.arm.state().config_version == before
        # What is published next is whole again, as the bridge's latched topic would have it.
        self.version += 1
        self.versions[self.version] = self.versions.get(before, 1.0)
        self.world.arm.on_config(slowed(self.version, self.versions[self.version]))
        self.look()

    @invariant()
    def agrees(self) -> None:
        assert self.world.state == self.expected
        assert self.epochs == sorted(set(self.epochs)), "epochs only grow"
        assert self.world.arm.state().estop_latched == (self.expected == EMERGENCY)

    @invariant()
    def commands_keep_the_limits(self) -> None:
        space = self.world.arm.knowledge.space
        assert space is not None
        fresh = self.world.commands[self.seen :]
        for command in fresh:
            assert command.epoch == self.epochs[-1]
            assert len(command.positions) == 6 and all(map(isfinite, command.positions))
            for value, low, high in zip(command.positions, space.limits.lower, space.limits.upper):
                assert low - 1e-9 <= value <= high + 1e-9
        for old, new in pairwise(fresh):
            steps = [abs(b - a) for a, b in zip(old.positions, new.positions)]
            assert max(steps) <= self.speed * 2 * PERIOD + 1e-9
        if fresh and fresh[0].epoch == self.epochs[-1] and self.seen + len(fresh) == self.sent():
            self.seen = self.sent() - 1


ControlApi.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestControlApi = ControlApi.TestCase


def after_a_start(prepare: Callable[[GuardWorld], object] = lambda world: None) -> list[tuple[float, float]]:
    """(time since the run began, fastest joint's speed as a share of its limit), command by command."""
    world = GuardWorld(policy=lambda m: np.full((30, 6), 1.5), params=GuardParams(ramp_s=RAMP_S))
    world.start()
    prepare(world)
    begin_ns, first = world.clock.now_ns, len(world.commands)
    before = tuple(world.measured)
    world.step(round(RAMP_S / PERIOD) + 5)
    limits = world.arm.knowledge.space.limits.max_velocity  # type: ignore[union-attr]
    found = []
    for number, command in enumerate(world.commands[first:]):
        share = max(abs(b - a) / PERIOD / most for a, b, most in zip(before, command.positions, limits))
        found.append(((number + 1) * PERIOD, share))
        before = command.positions
    assert world.clock.now_ns > begin_ns and found
    return found


def test_a_resumed_arm_never_exceeds_its_ramp() -> None:
    def interrupted(world: GuardWorld) -> None:
        world.step(30)
        world.arm.pause()
        world.measured[0] -= 0.4
        world.step(20)
        assert world.arm.resume().success

    for passed_s, share in after_a_start(interrupted):
        assert share <= max(0.1, passed_s / RAMP_S) + 1e-9
    assert max(share for _, share in after_a_start(interrupted)) > 0.3, "and gets up to speed"


@pytest.mark.parametrize("rival", ["start", "resume"])
def test_an_estop_wins_against_start_resume_and_the_control_thread(rival: str) -> None:
    for _ in range(30):
        world = GuardWorld(policy=lambda m: np.full((30, 6), 0.5), params=GuardParams(reset_cooldown_s=0.0))
        world.start()
        world.arm.pause() if rival == "resume" else world.arm.stop()
        barrier, returned = threading.Barrier(3), threading.Event()

        def begin(world: GuardWorld = world, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            getattr(world.arm, rival)()

        def tick(
            world: GuardWorld = world,
            barrier: threading.Barrier = barrier,
            returned: threading.Event = returned,
        ) -> None:
            barrier.wait()
            while not returned.is_set():
                world.step()
            world.step(3)

        threads = [threading.Thread(target=work) for work in (begin, tick)]
        for thread in threads:
            thread.start()
        barrier.wait()
        world.arm.estop("race")
        sent = len(world.commands)
        returned.set()
        for thread in threads:
            thread.join(10)
        assert world.state == EMERGENCY and len(world.commands) == sent
