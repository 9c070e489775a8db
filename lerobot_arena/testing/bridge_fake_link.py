# SPDX-License-Identifier: Apache-2.0
"""The robot side as the bridge sees it, in memory and without ROS: embodiment, guard and inference that behave.

It follows the contracts of msg/*.msg and can be told to fail: a dead guard, a policy that does not load, a latch.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.ports import Picture, VerbAnswer
from lerobot_arena.core import topics
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import NotAnswering, Unavailable
from lerobot_arena.core.guard_config import DEFAULT_TASK, GuardConfig
from lerobot_arena.core.risk import RiskWindow
from lerobot_arena.core.session import (
    CYCLES_DONE,
    ERROR,
    INITIALIZING,
    PAUSED,
    READY,
    RUNNING,
    STOPPED,
    EmbodimentStatus,
    GuardState,
    SessionsStatus,
    SessionStatus,
    SessionsWanted,
    SessionWanted,
    TaskStatus,
)
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Decision
from lerobot_arena.guard.task import task_from_json
from lerobot_arena.testing import bridge_fake_guard
from lerobot_arena.testing.bridge_fake_recorder import PREFIX, FakeRecorders
from lerobot_arena.testing.bridge_fake_rooms import FakeMedia, FakeRoomTopics
from lerobot_arena.testing.bridge_fake_values import (
    CHUNK,
    JOINTS,
    PERIOD_S,
    fake_cycle,
    fake_session_status,
    moving_picture,
)

CAMERAS = ("front", "wrist")


@dataclass
class FakeArms:
    """An ArmsLink. `beat` moves it by one control period; `live` does so in real time.

    Faults: `dead_guards` answer nothing, `silent_guards` take verbs and never answer
    (`silence_s` is the longest anybody waits for them), `is_inference_dead`,
    `failures` session id → message of a policy that failed (`loaded_again`: its worker was replaced), `is_loading`
    keeps policies from loading, `refusals` arm → why its guard does not start, `causes` arm → why it is not reset,
    `config_refusals` arm → why its guard takes no new boundaries, `deaf_guards` take no notice of them.
    """

    arms: tuple[str, ...] = ("arm",)
    is_loading: bool = False
    is_inference_dead: bool = False
    dead_guards: set[str] = field(default_factory=set)
    silent_guards: set[str] = field(default_factory=set)
    dead_embodiments: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    loaded_again: set[str] = field(default_factory=set)
    refusals: dict[str, str] = field(default_factory=dict)
    causes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    config_refusals: dict[str, str] = field(default_factory=dict)
    deaf_guards: set[str] = field(default_factory=set)
    silence_s: float = 0.2
    calls: list[tuple[str, str]] = field(default_factory=list)
    wanted: SessionsWanted = field(default_factory=SessionsWanted)
    config: GuardConfig = field(default_factory=GuardConfig)

    def __post_init__(self) -> None:
        self.guards: dict[str, GuardState] = {}
        self.embodiments: dict[str, EmbodimentStatus] = {}
        self.tasks: dict[str, TaskStatus] = {}
        self.inferences: dict[str, int] = {}
        self.input_idle_s: dict[str, float] = {}
        self.recorders = FakeRecorders()
        self.rooms = FakeRoomTopics()
        self.media = FakeMedia()
        self.cameras: dict[str, list[Callable[[Picture], None]]] = {}
        self._beats = 0
        self._in_force: dict[str, Any] = {}
        self._cycles_left: dict[str, int] = {}
        self._windows: dict[str, RiskWindow] = {}
        for arm in self.arms:
            self.embodiments[arm] = EmbodimentStatus(
                arm, "mujoco", "so101", True, joint_names=JOINTS, camera_names=CAMERAS, command_timeout_s=0.2
            )
            self.tasks[arm] = TaskStatus("pick_place", episode=1, seed=7, time_limit_s=20.0, stage="reach")
            self._new_guard(arm)

    def attach(self, board: Board, feed: CycleFeed) -> None:
        """Say where reports go, and make the first ones."""
        self.board, self.feed = board, feed
        self.report()

    def _new_guard(self, arm: str, boot_id: str = "1") -> None:
        """A guard's process (re)starts; the latched boundaries reach it at once."""
        unit = "radians" if arm in self.arms else "normalized"
        self.guards[arm] = GuardState(
            arm,
            boot_id,
            unit=unit,
            control_rate_hz=1 / PERIOD_S,
            queue_capacity=200,
            joint_age_s=0.01,
            config_version=self.config.version,
        )

    # ArmsLink

    def publish_wanted(self, wanted: SessionsWanted) -> None:
        """Every guard and inference take it up at their next report."""
        self.take(wanted)
        asyncio.get_running_loop().call_soon(self.report)

    def take(self, wanted: SessionsWanted) -> None:
        """Reconcile: virtual arms come and go with their sessions."""
        self.wanted = wanted
        needed = {session.arm for session in wanted.sessions if session.is_virtual}
        for arm in needed - set(self.guards):
            self._new_guard(arm)
        for arm in set(self.guards) - set(self.arms) - needed:
            del self.guards[arm]
            self.board.forget(arm)

    def publish_config(self, config: GuardConfig) -> None:
        """Every guard that is not told otherwise has it in force at its next report."""
        self.take_config(config)
        asyncio.get_running_loop().call_soon(self.report)

    def take_config(self, config: GuardConfig) -> None:
        """Reconcile each guard."""
        self.config = config
        content = (config.boundaries, config.tasks)
        for arm, guard in list(self.guards.items()):
            # What it had before it has again, as a change that was refused elsewhere is taken back.
            if arm in self.config_refusals and self._in_force.get(arm) != content:
                self.guards[arm] = replace(
                    guard, config_refused=config.version, config_problem=self.config_refusals[arm]
                )
            elif arm not in self.deaf_guards:
                self._in_force[arm] = content
                self.guards[arm] = replace(guard, config_version=config.version, config_problem="")

    async def call(self, arm: str, verb: str, *, timeout_s: float) -> VerbAnswer:
        """What a guard, an embodiment or a recorder would answer."""
        if verb.startswith(PREFIX):
            self.calls.append((arm, verb))
            return self.recorders.answer(arm, verb.removeprefix(PREFIX))
        is_guard = verb in topics.GUARD_VERBS
        is_dead = arm in (self.dead_guards if is_guard else self.dead_embodiments) or arm not in self.guards
        is_silent = is_guard and arm in self.silent_guards
        if is_dead or is_silent:
            self.calls.append((arm, verb))
        if is_dead:
            raise Unavailable(f"Nobody answers /{arm}/{verb}: is that process running?")
        if is_silent:
            await asyncio.sleep(min(timeout_s, self.silence_s))
            raise NotAnswering(f"/{arm}/guard/{verb} did not answer within {timeout_s} s.")
        await asyncio.sleep(0)
        return self.do(arm, verb)

    def do(self, arm: str, verb: str) -> VerbAnswer:
        """Carry out a verb, and say how things are then."""
        self.calls.append((arm, verb))
        answer: VerbAnswer = getattr(self, f"_{verb}")(arm)
        self.report()
        return answer

    def open_camera(self, topic: str, on_picture: Callable[[Picture], None]) -> Callable[[], None]:
        """Deliver what `show` shows."""
        watchers = self.cameras.setdefault(topic, [])
        watchers.append(on_picture)

        def close() -> None:
            watchers.remove(on_picture)
            if not watchers:
                self.cameras.pop(topic, None)

        return close

    def decode_cycle(self, raw: Any) -> CycleRecord:
        """Cycles are pushed as records here."""
        if not isinstance(raw, CycleRecord):
            raise ValueError("not a cycle")
        return raw

    def glance_cycle(self, raw: Any) -> tuple[int, int]:
        """Of a record, what a serialised one tells at once."""
        return (raw.decision, raw.risk) if isinstance(raw, CycleRecord) else (0, 0)

    # What the robot side does by itself

    def show(self, topic: str, image: NDArray[np.uint8]) -> None:
        """A camera took a picture."""
        for watcher in list(self.cameras.get(topic, ())):
            watcher(Picture(unpack=lambda: image))

    def fail(self, session_id: str, message: str, *, is_loaded: bool = True) -> None:
        """The policy of a session failed at work; its guard stops."""
        self.failures[session_id] = message
        for arm, guard in self.guards.items():
            if guard.session_id == session_id and guard.state == RUNNING:
                self.guards[arm] = replace(guard, state=STOPPED, message=message, queue_steps=0)
        if is_loaded:
            self.loaded_again.add(session_id)
        self.report()

    def report(self) -> None:
        """All processes that live say how they are."""
        for arm, guard in list(self.guards.items()):
            if arm in self.dead_guards:
                continue
            wanted = self.wanted.for_arm(arm)
            selected = wanted.session_id if wanted is not None else ""
            is_under_way = guard.state in {RUNNING, PAUSED}
            task = guard.task if is_under_way else self.wanted.run_of(arm).task or DEFAULT_TASK
            self.guards[arm] = replace(
                guard,
                wanted_generation=self.wanted.generation,
                session_id=guard.session_id if is_under_way else selected,
                task=task,
                active_boundaries=self._boundaries_of(task, arm),
                reset_refusals=self.causes.get(arm, ()) if guard.estop_latched else (),
            )
            self.board.on_guard(self.guards[arm])
        for arm, embodiment in self.embodiments.items():
            if arm not in self.dead_embodiments:
                self.board.on_embodiment(embodiment)
                self.board.on_task(arm, self.tasks[arm])
        for arm, status in self.recorders.statuses().items():
            self.board.on_recorder(arm, status)
        if not self.is_inference_dead:
            sessions = tuple(self._session(wanted) for wanted in self.wanted.sessions)
            self.board.on_sessions(SessionsStatus(self.wanted.generation, "1", sessions))

    def _boundaries_of(self, task: str, arm: str) -> tuple[str, ...]:
        config = next((item.config for item in self.config.tasks if item.name == task), None)
        if config is None:
            return ()
        return task_from_json(config).boundaries_of(is_virtual=arm not in self.arms)

    def _session(self, wanted: SessionWanted) -> SessionStatus:
        session_id = wanted.session_id
        message = self.failures.get(session_id, "")
        is_loaded = not self.is_loading and (not message or session_id in self.loaded_again)
        status = ERROR if message else INITIALIZING if self.is_loading else READY
        return fake_session_status(
            wanted,
            status,
            message,
            is_loaded=is_loaded,
            inferences=self.inferences.get(session_id, 0),
            inputs=self._beats,
            input_idle_s=self.input_idle_s.get(session_id, 0.01),
        )

    def beat(self) -> None:
        """One control period of every living guard."""
        self._beats += 1
        for arm, guard in list(self.guards.items()):
            if arm not in self.dead_guards and (guard.state == RUNNING or self._beats % 10 == 0):
                self._cycle(arm, guard)
        self.report()

    def _cycle(self, arm: str, guard: GuardState) -> None:
        is_running = guard.state == RUNNING
        cycle_id = guard.cycle_count + 1
        if is_running:
            if guard.queue_steps == 0:
                self.inferences[guard.session_id] = self.inferences.get(guard.session_id, 0) + 1
            decisions = (guard.decisions[0] + 1, *guard.decisions[1:])
            self.guards[arm] = guard = replace(
                guard,
                commands_sent=guard.commands_sent + 1,
                decisions=decisions,
                queue_steps=(guard.queue_steps or CHUNK) - 1,
                action_age_s=0.05,
                cycle_count=cycle_id,
                stages=(StageStat("total", cycle_id, 0.3, 0.5, 0.8, 1.2),),
            )
            self.tasks = {
                name: replace(task, elapsed_s=task.elapsed_s + PERIOD_S) for name, task in self.tasks.items()
            }
            left = self._cycles_left.get(arm, -1)
            if left > 0:
                self._cycles_left[arm] = left - 1
                if left == 1:
                    self.guards[arm] = replace(guard, state=STOPPED, message=CYCLES_DONE)
        self.feed.push(arm, self.cycle(guard, cycle_id))

    def cycle(
        self, guard: GuardState, cycle_id: int, decision: Decision = Decision.PASS, *, layer: str = "L1"
    ) -> CycleRecord:
        """The record of one tick of a guard; a decision other than PASS is of a check on `layer`."""
        window, clock = self._windows.setdefault(guard.arm, RiskWindow()), self.board.clock
        risk = window.add(decision, steady_ns=clock.steady_ns(), is_latched=guard.estop_latched)
        return fake_cycle(guard, cycle_id, decision, layer=layer, risk=risk, clock=clock)

    async def live(self, *, frames_hz: float = 0.0) -> None:
        """Beat in real time until cancelled; with `frames_hz` the watched cameras show a moving picture."""
        loop = asyncio.get_running_loop()
        begin, shown = loop.time(), 0
        while True:
            due = begin + self._beats * PERIOD_S
            await asyncio.sleep(max(due - loop.time(), 0.0))
            self.beat()
            if frames_hz and (loop.time() - begin) * frames_hz > shown:
                shown += 1
                for index, topic in enumerate(sorted(self.cameras)):
                    self.show(topic, moving_picture(shown, index))

    # Verbs

    def _start(self, arm: str) -> VerbAnswer:
        guard, run = self.guards[arm], self.wanted.run_of(arm)
        self.guards[arm], answer = bridge_fake_guard.start(guard, run, self.refusals.get(arm))
        if self.guards[arm].epoch != guard.epoch:
            self.failures.pop(guard.session_id, None)
            self._cycles_left[arm] = run.n_cycles
        return answer

    def _pause(self, arm: str) -> VerbAnswer:
        self.guards[arm], answer = bridge_fake_guard.pause(self.guards[arm])
        return answer

    def _resume(self, arm: str) -> VerbAnswer:
        self.guards[arm], answer = bridge_fake_guard.resume(self.guards[arm], self.refusals.get(arm))
        return answer

    def _stop(self, arm: str) -> VerbAnswer:
        self.guards[arm], answer = bridge_fake_guard.stop(self.guards[arm])
        return answer

    def _estop(self, arm: str) -> VerbAnswer:
        self.guards[arm], answer = bridge_fake_guard.estop(self.guards[arm])
        if arm in self.embodiments and arm not in self.dead_embodiments:
            self._emergency_stop(arm)
            self.guards[arm] = replace(self.guards[arm], sink="acknowledged: the arm holds")
        return answer

    def _reset(self, arm: str) -> VerbAnswer:
        self.guards[arm], answer = bridge_fake_guard.reset(self.guards[arm], self.causes.get(arm, ()))
        if answer.success and arm in self.embodiments:
            self._clear_emergency(arm)
        return answer

    def _clear_queue(self, arm: str) -> VerbAnswer:
        self.guards[arm] = replace(self.guards[arm], queue_steps=0)
        return VerbAnswer(True, "The queue is empty.")

    def _emergency_stop(self, arm: str) -> VerbAnswer:
        self.embodiments[arm] = replace(self.embodiments[arm], is_stopped=True, message="Stopped.")
        return VerbAnswer(True, "The arm holds.")

    def _clear_emergency(self, arm: str) -> VerbAnswer:
        self.embodiments[arm] = replace(self.embodiments[arm], is_stopped=False, message="")
        return VerbAnswer(True, "Cleared.")

    def _reset_scene(self, arm: str) -> VerbAnswer:
        return self._begin_scene(arm, seeds_on=1)

    def _repeat_scene(self, arm: str) -> VerbAnswer:
        return self._begin_scene(arm, seeds_on=0)

    def _begin_scene(self, arm: str, *, seeds_on: int) -> VerbAnswer:
        if self.guards[arm].state in {RUNNING, PAUSED}:
            return VerbAnswer(False, "The arm is being commanded: stop the session first.")
        task = self.tasks[arm]
        self.tasks[arm] = replace(
            task,
            episode=task.episode + 1,
            seed=task.seed + seeds_on,
            elapsed_s=0.0,
            is_success=False,
            is_over=False,
        )
        return VerbAnswer(True, "A new scene.")
