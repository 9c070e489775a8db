# SPDX-License-Identifier: Apache-2.0
"""One guarded arm: its verbs, and the control cycle of whatever run is on. Free of ROS; one thread calls `tick`."""

from collections.abc import Iterator
from dataclasses import dataclass

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.cycle import JointCommand
from lerobot_arena.core.errors import Conflict
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.session import (
    RUNNING,
    EmbodimentStatus,
    GuardState,
    SessionsStatus,
    SessionsWanted,
)
from lerobot_arena.guard.chain import build_chain
from lerobot_arena.guard.chunk_queue import ChunkQueue
from lerobot_arena.guard.holding import HoldWatch
from lerobot_arena.guard.inference_watch import RunWatch
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.loop import ControlLoop, CycleLabel, Surroundings
from lerobot_arena.guard.motion import MotionMemory
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.ports import ArmPorts
from lerobot_arena.guard.readiness import reasons_against
from lerobot_arena.guard.report import Run, guard_state, idle_record
from lerobot_arena.guard.state_machine import StateMachine
from lerobot_arena.guard.tally import Tally

_IDLE_CYCLE_S = 0.2
# The embodiment's last word from before a reset may still be on its way.
_CLEARING_S = 2.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a verb did, for its caller."""

    success: bool
    message: str


class GuardedArm:
    """The guard of one arm. Verbs and messages come from one thread, ticks from another."""

    def __init__(
        self,
        knowledge: Knowledge,
        params: GuardParams,
        ports: ArmPorts,
        *,
        epochs: Iterator[int],
        boot_id: str,
        clock: Clock,
    ) -> None:
        self.knowledge = knowledge
        self._params, self._ports, self._clock = params, ports, clock
        self._boot_id = boot_id
        self._machine: StateMachine[Run] = StateMachine(lambda: next(epochs))
        self._tally = Tally()
        self._sequence = self._cycle_id = 0
        self._idle_ns = 0
        self._reset_ns = 0
        self._sink = ""
        self._defect = ""

    @property
    def is_running(self) -> bool:
        return self._machine.status.state == RUNNING

    @property
    def period_s(self) -> float:
        return 1.0 / self._params.control_rate_hz

    # What messages tell

    def on_wanted(self, wanted: SessionsWanted) -> None:
        self.knowledge.take_wanted(wanted)
        self._look_at_run()

    def on_sessions(self, sessions: SessionsStatus) -> None:
        self.knowledge.take_report(sessions, self._clock.steady_ns())
        self._look_at_run()

    def on_joints(self, sample: JointSample) -> None:
        self.knowledge.take_joints(sample)

    def on_chunk(self, chunk: ActionChunk) -> None:
        status = self._machine.status
        if status.state == RUNNING and status.run is not None:
            status.run.loop.queue.offer(chunk, self._clock.steady_ns())

    def refuse_joints(self, problem: str) -> None:
        """A joint message could not even be read."""
        self.knowledge.refuse_joints(problem)

    def refuse_chunk(self, problem: str) -> None:
        """An action chunk could not even be read."""
        status = self._machine.status
        if status.state == RUNNING and status.run is not None:
            status.run.loop.queue.refuse(problem)

    def on_publishers(self, foreign: tuple[str, ...]) -> None:
        """Nodes beside us that publish what only a guard may."""
        self.knowledge.foreign = foreign

    def on_embodiment(self, status: EmbodimentStatus) -> None:
        """An embodiment in emergency stop latches its guard, so that a restarted guard keeps the latch."""
        self.knowledge.embodiment = status
        cleared_s = seconds_between(self._reset_ns, self._clock.steady_ns())
        if status.is_stopped and cleared_s > _CLEARING_S and not self._machine.status.is_latched:
            self._machine.estop(f"The embodiment reports an e-stop. {status.message}".strip())
            self._ports.state_changed()

    def _look_at_run(self) -> None:
        run = self._machine.status.run
        if self._machine.status.state != RUNNING or run is None:
            return
        because = run.watch.stop_because(self.knowledge.report.sessions, self.knowledge.wanted)
        if not because and self.knowledge.space != run.loop.space:
            because = "The session's joints or unit changed."
        if because:
            self._stop(because)

    def _stop(self, message: str, *, epoch: int | None = None) -> bool:
        if not self._machine.stop(message, epoch=epoch):
            return False
        if message:
            self._ports.warn(message)
        self._ports.state_changed()
        return True

    # Verbs

    def start(self) -> Answer:
        """Begin a run of the selected session with a new epoch, an empty queue and the arm at rest."""
        session = self.knowledge.session
        now = self._machine.status
        if now.state == RUNNING and now.run and session and now.run.session_id == session.session_id:
            return Answer(True, f"Session {session.session_id!r} is already running.")
        try:
            status = self._machine.start(self.not_ready(), self._begin)
        except Conflict as error:
            return Answer(False, str(error))
        self._ports.state_changed()
        return Answer(True, f"Session {status.run.session_id!r} is running." if status.run else "")

    def _begin(self, epoch: int) -> Run:
        session, space, params = self.knowledge.session, self.knowledge.space, self._params
        if session is None or space is None:
            raise Conflict("The session went away.")
        before = self._machine.status.run
        is_same_arm = before is not None and before.loop.space == space
        last_command = before.loop.motion.command if before is not None and is_same_arm else ()
        if self._tally.session_id != session.session_id:
            self._tally = Tally(session.session_id)
        chain = build_chain(
            {
                "joint_age": {"timeout_s": self.knowledge.joint_timeout_s},
                "action_age": {"timeout_s": params.action_timeout_s},
            },
            budget_ms=params.check_budget_ms,
        )
        loop = ControlLoop(
            epoch=epoch,
            session_id=session.session_id,
            space=space,
            chain=chain,
            queue=ChunkQueue(
                space,
                session_id=session.session_id,
                epoch=epoch,
                period_s=self.period_s,
                action_timeout_s=params.action_timeout_s,
            ),
            motion=MotionMemory(tuple(params.reseed_tolerance * span for span in space.spans), last_command),
            holding=HoldWatch(params.hold_grace_s, params.first_chunk_timeout_s, params.nonfinite_limit),
            period_s=self.period_s,
            commit=self._commit,
        )
        status = self.knowledge.status
        policy_unit = status.unit if status is not None else ""
        return Run(session.session_id, policy_unit, loop, RunWatch(session.session_id, self.knowledge.report))

    def stop(self, message: str = "") -> Answer:
        """End the run; the arm keeps its last target."""
        if self._stop(message):
            return Answer(True, "Stopped.")
        return Answer(True, f"Nothing was running; the state is {self._machine.status.state}.")

    def estop(self, source: str) -> Answer:
        """Latch first, then ask the embodiment; `source` says who pressed."""
        self._machine.estop(f"The e-stop was pressed ({source}). Reset it, then start the session again.")
        self._sink = "asked; no answer yet"
        self._ports.emergency_stop()
        self._ports.state_changed()
        return Answer(True, "The e-stop is latched: no command leaves until it is reset and started again.")

    def reset(self) -> Answer:
        """Unlatch, disarmed."""
        was_running = self._machine.status.run_was_cut
        try:
            self._machine.reset(
                "Stopped by the e-stop, which has been reset: start again." if was_running else ""
            )
        except Conflict as error:
            return Answer(False, str(error))
        self._reset_ns = self._clock.steady_ns()
        self._ports.clear_emergency()
        self._ports.state_changed()
        return Answer(True, "The e-stop is reset. Nothing moves until the next start.")

    def clear_queue(self) -> Answer:
        """Forget the actions that were not executed yet; a run holds until the next chunk."""
        run = self._machine.status.run
        if self._machine.status.state != RUNNING or run is None:
            return Answer(True, "Nothing is running; the queue is empty.")
        run.loop.queue.clear()
        return Answer(True, "The queue is empty; a new action chunk is being asked for.")

    def sink_answered(self, text: str) -> None:
        """The embodiment's answer to `emergency_stop` or `clear_emergency`, or why there is none."""
        self._sink = text
        self._ports.state_changed()

    def fail(self, defect: str) -> None:
        """This guard itself is broken: stop, and refuse to start until the process is restarted."""
        self._defect = f"{defect} Restart the guard."
        self._stop(defect)
        self._ports.state_changed()

    # The control thread

    def tick(self, tick: Tick) -> None:
        """One period. Whatever goes wrong in it ends the run; the loop itself goes on."""
        status = self._machine.status
        if status.state == RUNNING and status.run is not None:
            try:
                self._run_cycle(tick, status.run)
            except Exception as error:
                self._stop(f"The control cycle failed: {type(error).__name__}: {error}", epoch=status.epoch)
        elif seconds_between(self._idle_ns, tick.now_ns) >= _IDLE_CYCLE_S:
            self._idle_ns = tick.now_ns
            self._cycle_id += 1
            self._ports.publish_cycle(
                idle_record(
                    self.knowledge,
                    status,
                    cycle_id=self._cycle_id,
                    stamp_ns=self._clock.wall_ns(),
                    period_s=self.period_s,
                )
            )

    def _run_cycle(self, tick: Tick, run: Run) -> None:
        self._cycle_id += 1
        end = run.loop.cycle(
            tick,
            Surroundings(
                self.knowledge.measured,
                self.knowledge.foreign,
                run.watch.absence(
                    self.knowledge.report,
                    now_ns=tick.now_ns,
                    timeout_s=self._params.inference_timeout_s,
                    refusal=run.loop.queue.refusal,
                ),
            ),
            CycleLabel(self._cycle_id, self._sequence + 1, self._clock.wall_ns()),
        )
        if end.command is not None:
            self._sequence += 1
            self._ports.show_executed(end.command, run.loop.space, run.policy_unit)
        if end.request is not None:
            self._ports.request_chunk(end.request)
        self._tally.add(end.record)
        self._ports.publish_cycle(end.record)
        if end.stop_because:
            self._stop(end.stop_because, epoch=run.loop.epoch)

    def _commit(self, epoch: int, command: JointCommand, space: JointSpace) -> bool:
        return self._machine.commit(epoch, lambda: self._ports.send(command, space))

    # State for people

    def not_ready(self) -> tuple[str, ...]:
        """Why a start would be refused now."""
        status = self._machine.status
        latched = status.message if status.is_latched else ""
        return tuple(
            reasons_against(
                self.knowledge.situation(self._clock.steady_ns(), latched=latched, defect=self._defect)
            )
        )

    def state(self) -> GuardState:
        """What GuardState says now."""
        return guard_state(
            self.knowledge,
            self._machine.status,
            self._tally,
            boot_id=self._boot_id,
            not_ready=self.not_ready(),
            sink=self._sink,
            control_rate_hz=self._params.control_rate_hz,
            now_ns=self._clock.steady_ns(),
        )
