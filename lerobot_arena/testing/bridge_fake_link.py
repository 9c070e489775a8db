# SPDX-License-Identifier: Apache-2.0
"""The robot side as the bridge sees it, in memory and without ROS: embodiment, guard and inference that behave.

It follows the contracts of msg/*.msg and can be told to fail: a dead guard, a policy that does not load, a latch.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import sin
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.bridge.board import Board
from lerobot_arena.bridge.feed import CycleFeed
from lerobot_arena.bridge.ports import Picture, VerbAnswer
from lerobot_arena.core.cycle import CycleRecord
from lerobot_arena.core.errors import NotAnswering, Unavailable
from lerobot_arena.core.session import (
    EMERGENCY,
    ERROR,
    IDLE,
    INITIALIZING,
    READY,
    RUNNING,
    STOPPED,
    EmbodimentStatus,
    GuardState,
    SessionsStatus,
    SessionStatus,
    SessionsWanted,
    TaskStatus,
)
from lerobot_arena.core.stats import StageStat
from lerobot_arena.core.verdict import Decision, Outcome, Verdict

JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
CAMERAS = ("front", "wrist")
PERIOD_S = 0.02
_CHUNK = 50


@dataclass
class FakeArms:
    """An ArmsLink. `beat` moves it by one control period; `live` does so in real time.

    Faults: `dead_guards` answer nothing, `silent_guards` take verbs and never answer, `is_inference_dead`,
    `failures` session id → message of a policy that failed (`loaded_again`: its worker was replaced), `is_loading`
    keeps policies from loading, `refusals` arm → why its guard does not start.
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
    calls: list[tuple[str, str]] = field(default_factory=list)
    wanted: SessionsWanted = field(default_factory=SessionsWanted)

    def __post_init__(self) -> None:
        self.guards: dict[str, GuardState] = {}
        self.embodiments: dict[str, EmbodimentStatus] = {}
        self.tasks: dict[str, TaskStatus] = {}
        self.inferences: dict[str, int] = {}
        self.input_idle_s: dict[str, float] = {}
        self.cameras: dict[str, list[Callable[[Picture], None]]] = {}
        self._beats = 0
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
        unit = "radians" if arm in self.arms else "normalized"
        self.guards[arm] = GuardState(
            arm, boot_id, unit=unit, control_rate_hz=1 / PERIOD_S, queue_capacity=200, joint_age_s=0.01
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

    async def call(self, arm: str, verb: str, *, timeout_s: float) -> VerbAnswer:
        """What a guard or an embodiment would answer."""
        is_guard = verb in {"start", "stop", "estop", "reset", "clear_queue"}
        is_dead = arm in (self.dead_guards if is_guard else self.dead_embodiments) or arm not in self.guards
        is_silent = is_guard and arm in self.silent_guards
        if is_dead or is_silent:
            self.calls.append((arm, verb))
        if is_dead:
            raise Unavailable(f"Nobody answers /{arm}/{verb}: is that process running?")
        if is_silent:
            await asyncio.sleep(min(timeout_s, 0.2))
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
            keeps = guard.session_id if guard.state == RUNNING else selected
            self.guards[arm] = replace(guard, wanted_generation=self.wanted.generation, session_id=keeps)
            self.board.on_guard(self.guards[arm])
        for arm, embodiment in self.embodiments.items():
            if arm not in self.dead_embodiments:
                self.board.on_embodiment(embodiment)
                self.board.on_task(arm, self.tasks[arm])
        if not self.is_inference_dead:
            sessions = tuple(self._session(wanted.session_id) for wanted in self.wanted.sessions)
            self.board.on_sessions(SessionsStatus(self.wanted.generation, "1", sessions))

    def _session(self, session_id: str) -> SessionStatus:
        wanted = next(session for session in self.wanted.sessions if session.session_id == session_id)
        status = INITIALIZING if self.is_loading else READY
        message = self.failures.get(session_id, "")
        count = self.inferences.get(session_id, 0)
        is_loaded = not self.is_loading and (not message or session_id in self.loaded_again)
        return SessionStatus(
            session_id,
            ERROR if message else status,
            message,
            is_loaded,
            policy_type="act",
            device="cpu",
            joint_names=JOINTS,
            unit=wanted.unit or "normalized",
            fps=wanted.rate_hz or 30.0,
            chunk_size=_CHUNK,
            n_action_steps=10,
            camera_names=wanted.camera_names,
            metadata_sources=("unit: checkpoint", "fps: checkpoint"),
            policy_hash="00",
            inference_count=count,
            total_inference_time_s=count * 0.004,
            images_received=tuple(self._beats for _ in wanted.camera_names),
            images_lost=tuple(0 for _ in wanted.camera_names),
            joints_received=self._beats,
            input_idle_s=self.input_idle_s.get(session_id, 0.01),
            stages=(StageStat("network", count, 3.9, 4.4, 5.1, 6.0),) if count else (),
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
                queue_steps=(guard.queue_steps or _CHUNK) - 1,
                action_age_s=0.05,
                cycle_count=cycle_id,
                stages=(StageStat("total", cycle_id, 0.3, 0.5, 0.8, 1.2),),
            )
            self.tasks = {
                name: replace(task, elapsed_s=task.elapsed_s + PERIOD_S) for name, task in self.tasks.items()
            }
        self.feed.push(arm, self.cycle(guard, cycle_id))

    def cycle(self, guard: GuardState, cycle_id: int, decision: Decision = Decision.PASS) -> CycleRecord:
        """The record of one tick of a guard."""
        is_running = guard.state == RUNNING
        values = tuple(0.5 * sin(cycle_id * PERIOD_S + index) for index in range(len(JOINTS)))
        reason = "" if decision == Decision.PASS else "a joint would have left its range"
        return CycleRecord(
            cycle_id,
            decision,
            Outcome.SENT if is_running else Outcome.NONE,
            self.board.clock.wall_ns(),
            guard.state,
            guard.unit,
            JOINTS,
            epoch=guard.epoch,
            session_id=guard.session_id,
            reason=reason,
            measured=values,
            proposed=tuple(value + 0.02 for value in values) if is_running else (),
            executed=tuple(value + 0.015 for value in values) if is_running else (),
            queue_steps=guard.queue_steps,
            action_age_s=guard.action_age_s,
            verdicts=(
                Verdict(Decision.PASS, "L3", "joint_age", "", 0.01),
                Verdict(decision, "L1", "position_limits", reason, 0.02),
            )
            if is_running
            else (),
            stages=tuple(
                StageStat(name, 1, ms, ms, ms, ms)
                for name, ms in (
                    ("source", 0.05),
                    ("queue", 0.04),
                    ("checks", 0.2),
                    ("sink", 0.1),
                    ("total", 0.4),
                )
            ),
            deadline_ms=PERIOD_S * 1000,
        )

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
        guard = self.guards[arm]
        if guard.estop_latched:
            return VerbAnswer(False, "The e-stop is latched.")
        if not guard.session_id:
            return VerbAnswer(False, "No session is selected.")
        if arm in self.refusals:
            return VerbAnswer(False, self.refusals[arm])
        if guard.state == RUNNING:
            return VerbAnswer(True, "It is already running.")
        self.failures.pop(guard.session_id, None)
        self.guards[arm] = replace(guard, state=RUNNING, epoch=guard.epoch + 1, message="", queue_steps=0)
        return VerbAnswer(True, "Running.")

    def _stop(self, arm: str) -> VerbAnswer:
        guard = self.guards[arm]
        if guard.state == RUNNING:
            self.guards[arm] = replace(guard, state=STOPPED, message="", queue_steps=0)
        return VerbAnswer(True, "Stopped.")

    def _estop(self, arm: str) -> VerbAnswer:
        message = "The e-stop was pressed (service)."
        self.guards[arm] = replace(
            self.guards[arm], state=EMERGENCY, estop_latched=True, message=message, queue_steps=0
        )
        if arm in self.embodiments and arm not in self.dead_embodiments:
            self._emergency_stop(arm)
            self.guards[arm] = replace(self.guards[arm], sink="acknowledged: the arm holds")
        return VerbAnswer(True, "The e-stop is latched.")

    def _reset(self, arm: str) -> VerbAnswer:
        guard = self.guards[arm]
        if guard.state not in {STOPPED, EMERGENCY, IDLE}:
            return VerbAnswer(False, f"Reset is for a stopped arm; this one is {guard.state}.")
        self.guards[arm] = replace(
            guard, state=STOPPED, estop_latched=False, message="Stopped by the e-stop."
        )
        if arm in self.embodiments:
            self._clear_emergency(arm)
        return VerbAnswer(True, "The e-stop is reset.")

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
        if self.guards[arm].state == RUNNING:
            return VerbAnswer(False, "The arm is being commanded: stop the session first.")
        task = self.tasks[arm]
        self.tasks[arm] = replace(
            task, episode=task.episode + 1, seed=task.seed + 1, elapsed_s=0.0, is_success=False, is_over=False
        )
        return VerbAnswer(True, "A new scene.")


def moving_picture(step: int, shade: int) -> NDArray[np.uint8]:
    """A 480×640 gradient with a square that moves."""
    image = np.zeros((480, 640, 3), np.uint8)
    image[..., 0] = np.linspace(40, 160, 640, dtype=np.uint8)
    image[..., 1] = np.linspace(60, 140, 480, dtype=np.uint8)[:, None]
    image[..., 2] = 90 + 60 * (shade % 2)
    x = 20 + (step * 6) % 560
    image[200:260, x : x + 60] = (240, 180, 60)
    return image
