# SPDX-License-Identifier: Apache-2.0
"""One guarded arm: its verbs, and the control cycle of whatever run is on. Free of ROS; one thread calls `tick`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lerobot_arena.core.chunk import ActionChunk
from lerobot_arena.core.clock import Clock, seconds_between
from lerobot_arena.core.cycle import JointCommand
from lerobot_arena.core.errors import Conflict, InvalidInput
from lerobot_arena.core.guard_config import GuardConfig
from lerobot_arena.core.hardware import HardwareReading, HostHealth
from lerobot_arena.core.observation import JointSample
from lerobot_arena.core.risk import RiskLevel, RiskWindow
from lerobot_arena.core.session import RUNNING, EmbodimentStatus, GuardState, SessionsStatus, SessionsWanted
from lerobot_arena.guard.config_book import ConfigBook
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.knowledge import Knowledge
from lerobot_arena.guard.loop import CycleLabel, Pace
from lerobot_arena.guard.pacing import Tick
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.ports import ArmPorts
from lerobot_arena.guard.report import Run, guard_state, idle_record
from lerobot_arena.guard.run_checks import ChainRules
from lerobot_arena.guard.run_start import RunStart, cycles_of, period_of
from lerobot_arena.guard.standby import Prospect, Standby
from lerobot_arena.guard.state_machine import StateMachine, Status
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
        shipped: GuardConfig,
    ) -> None:
        self.knowledge = knowledge
        self._params, self._ports, self._clock = params, ports, clock
        self._boot_id = boot_id
        self._machine: StateMachine[Run] = StateMachine(lambda: next(epochs))
        self._tally = Tally()
        self._risk = RiskWindow()
        self._rules = ChainRules(
            {
                "joint_age": {"timeout_s": knowledge.joint_timeout_s},
                "action_age": {"timeout_s": params.action_timeout_s},
            },
            params.check_budget_ms,
            params.enforcement_mode,
        )
        self._book = ConfigBook(shipped, is_virtual=knowledge.is_virtual)
        self._standby = Standby(knowledge, self._book, self._rules)
        self._start = RunStart(knowledge, params, self._risk, self._commit)
        self._prospect = Prospect()
        self._sequence = self._cycle_id = 0
        self._idle_ns = self._reset_ns = self._latched_ns = 0
        self._sink = ""
        self._defect = ""

    @property
    def is_running(self) -> bool:
        return self._machine.status.is_under_way

    @property
    def run(self) -> Run | None:
        """What the latest start or resume began."""
        return self._machine.status.run

    @property
    def period_s(self) -> float:
        """The period the control thread has to keep now."""
        status = self._machine.status
        if status.is_under_way and status.run is not None:
            return status.run.loop.period_s
        return 1.0 / self._params.control_rate_hz

    # What messages tell

    def on_wanted(self, wanted: SessionsWanted) -> None:
        self.knowledge.take_wanted(wanted)
        self._look_at_run()
        self.refresh()

    def on_sessions(self, sessions: SessionsStatus) -> None:
        self.knowledge.take_report(sessions, self._clock.steady_ns())
        self._look_at_run()
        self.refresh()

    def on_config(self, config: GuardConfig) -> None:
        """Boundaries and tasks; a run goes on with them from its next cycle, or they wait for its end."""
        status = self._machine.status
        run = status.run if status.is_under_way else None
        changed = self._book.take(
            config, self.knowledge.body, run.loop.checks_to_come if run is not None else None
        )
        if changed is not None and run is not None:
            run.loop.go_on_with(changed)
        if self._book.problem:
            self._ports.warn(f"Boundaries of version {config.version} were refused: {self._book.problem}")
        self.refresh()
        self._ports.state_changed()

    def on_joints(self, sample: JointSample) -> None:
        self.knowledge.take_joints(sample)

    def on_hardware(self, reading: HardwareReading) -> None:
        self.knowledge.take_hardware(reading, self._clock.steady_ns())

    def on_host(self, host: HostHealth, taken_ns: int) -> None:
        """How this machine was at `taken_ns` (steady)."""
        self.knowledge.take_host(host, taken_ns)

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
        self.knowledge.take_embodiment(status, self._clock.steady_ns())
        cleared_s = seconds_between(self._reset_ns, self._clock.steady_ns())
        if status.is_stopped and cleared_s > _CLEARING_S and not self._machine.status.is_latched:
            self._machine.estop(f"The embodiment reports an e-stop. {status.message}".strip())
            self._latched_ns = self._clock.steady_ns()
            self._ports.state_changed()

    def _look_at_run(self) -> None:
        status = self._machine.status
        run = status.run
        if not status.is_under_way or run is None:
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
        return self._go(lambda: self._machine.start(self.not_ready(), self._prepared()))

    def resume(self) -> Answer:
        """Go on after a pause, from where the arm is now, with slowly growing speed."""
        paused = self._machine.status.run
        if paused is None:
            return Answer(False, "Nothing is paused.")
        return self._go(
            lambda: self._machine.resume(self.not_ready(), lambda epoch: self._start.again(epoch, paused))
        )

    def _go(self, begin: Callable[[], Status[Run]]) -> Answer:
        try:
            status = begin()
        except (Conflict, InvalidInput) as error:
            return Answer(False, str(error))
        self._ports.state_changed()
        return Answer(True, f"Session {status.run.session_id!r} is running." if status.run else "")

    def _prepared(self) -> Callable[[int], Run]:
        """All that takes time, before the lock is taken."""
        session, body = self.knowledge.session, self.knowledge.body
        if session is None or body is None:
            return self._gone
        wanted = self.knowledge.wanted.run_of(self.knowledge.arm)
        checks = self._book.checks(wanted.task, body, self._rules)
        pace = Pace(period_of(wanted, self._params), self._params.ramp_s, cycles_left=cycles_of(wanted))

        def build(epoch: int) -> Run:
            run = self._start.first(epoch, checks, pace, self._machine.status.run)
            if self._tally.session_id != run.session_id:
                self._tally = Tally(run.session_id)
            return run

        return build

    @staticmethod
    def _gone(_epoch: int) -> Run:
        raise Conflict("The session went away.")

    def pause(self) -> Answer:
        """No command follows; the arm keeps its last target until `resume` or `stop`."""
        try:
            changed = self._machine.pause("Paused.")
        except Conflict as error:
            return Answer(False, str(error))
        run = self._machine.status.run
        if changed and run is not None:
            run.loop.queue.clear()
            self._ports.state_changed()
        return Answer(True, "Paused." if changed else "It is paused already.")

    def stop(self, message: str = "") -> Answer:
        """End the run; the arm keeps its last target."""
        if self._stop(message):
            self._book.retry(self.knowledge.body)
            return Answer(True, "Stopped.")
        return Answer(True, f"Nothing was running; the state is {self._machine.status.state}.")

    def estop(self, source: str) -> Answer:
        """Latch first, then ask the embodiment; `source` says who pressed."""
        self._emergency(f"The e-stop was pressed ({source}). Reset it, then start the session again.")
        return Answer(True, "The e-stop is latched: no command leaves until it is reset and started again.")

    def _emergency(self, message: str, *, epoch: int | None = None) -> None:
        if self._machine.estop(message, epoch=epoch):
            self._latched_ns = self._clock.steady_ns()
        elif epoch is not None:
            return
        self._sink = "asked; no answer yet"
        try:
            self._ports.emergency_stop()
        except Exception as error:  # whatever it was: the latch stands, and nothing more is sent
            self._sink = f"could not be asked: {type(error).__name__}: {error}"
        self._ports.state_changed()

    def reset(self) -> Answer:
        """To idle, disarmed; refused while what an e-stop was latched for is still there."""
        self.refresh()
        before = self._machine.status
        message = "Stopped by the e-stop, which has been reset: start again." if before.run_was_cut else ""
        try:
            self._machine.reset(message, self._prospect.causes or self._cooldown())
        except Conflict as error:
            return Answer(False, str(error))
        if not before.is_latched:
            self._ports.state_changed()
            return Answer(True, "Nothing was latched; the arm is idle.")
        self._reset_ns = self._clock.steady_ns()
        self._book.retry(self.knowledge.body)
        self._ports.clear_emergency()
        self._ports.state_changed()
        return Answer(True, "The e-stop is reset. Nothing moves until the next start.")

    def _cooldown(self) -> tuple[str, ...]:
        left_s = self._params.reset_cooldown_s - seconds_between(self._latched_ns, self._clock.steady_ns())
        return (f"The e-stop was pressed a moment ago: reset it in {left_s:.1f} s.",) if left_s > 0.0 else ()

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
            self._show_idle(tick, status)

    def _show_idle(self, tick: Tick, status: Status[Run]) -> None:
        self._cycle_id += 1
        self._ports.publish_cycle(
            idle_record(
                self.knowledge,
                status,
                cycle_id=self._cycle_id,
                stamp_ns=self._clock.wall_ns(),
                steady_ns=tick.now_ns,
                risk=RiskLevel.EMERGENCY if status.is_latched else RiskLevel.NORMAL,
                enforcement=self._params.enforcement_mode,
                period_s=self.period_s,
            )
        )

    def _run_cycle(self, tick: Tick, run: Run) -> None:
        self._cycle_id += 1
        absence = run.watch.absence(
            self.knowledge.report,
            now_ns=tick.now_ns,
            timeout_s=self._params.inference_timeout_s,
            refusal=run.loop.queue.refusal,
        )
        end = run.loop.cycle(
            tick,
            self.knowledge.around(tick.now_ns, absence),
            CycleLabel(self._cycle_id, self._sequence + 1, self._clock.wall_ns()),
        )
        if end.command is not None:
            self._sequence += 1
            self._ports.show_executed(end.command, run.loop.space, run.policy_unit)
        if end.request is not None:
            self._ports.request_chunk(end.request)
        self._tally.add(end.record)
        self._ports.publish_cycle(end.record)
        for event in end.events:
            self._ports.publish_event(event)
        if end.emergency_because:
            self._ports.warn(end.emergency_because)
            self._emergency(end.emergency_because, epoch=run.loop.epoch)
        elif end.stop_because:
            self._stop(end.stop_because, epoch=run.loop.epoch)

    def _commit(self, epoch: int, command: JointCommand, space: JointSpace) -> bool:
        return self._machine.commit(epoch, lambda: self._ports.send(command, space))

    # State for people

    def refresh(self) -> None:
        """Look again at what a start and a reset would meet; from the thread of the verbs."""
        status = self._machine.status
        if not status.is_under_way:
            self._book.retry(self.knowledge.body)
        latched = status.message if status.is_latched else ""
        self._prospect = self._standby.look(self._clock.steady_ns(), latched=latched, defect=self._defect)

    def not_ready(self) -> tuple[str, ...]:
        """Why a start would be refused now."""
        self.refresh()
        return self._prospect.not_ready

    def state(self) -> GuardState:
        """What GuardState says now."""
        return guard_state(
            self.knowledge,
            self._machine.status,
            self._tally,
            self._prospect,
            self._book,
            enforcement=self._params.enforcement_mode,
            cooldown=self._cooldown(),
            boot_id=self._boot_id,
            sink=self._sink,
            control_rate_hz=self._params.control_rate_hz,
            now_ns=self._clock.steady_ns(),
        )
