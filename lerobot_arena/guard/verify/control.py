# SPDX-License-Identifier: Apache-2.0
"""Faults of the verbs (F1 to F10)."""

import threading
from collections.abc import Callable
from itertools import pairwise
from math import nan
from typing import ClassVar

from lerobot_arena.core.session import EMERGENCY, IDLE, PAUSED, RUNNING, STOPPED, EmbodimentStatus
from lerobot_arena.guard.arm import GuardedArm
from lerobot_arena.guard.chain import Chain
from lerobot_arena.guard.checks.protocol import Body, Check, CheckInput, Finding, NoParams, Phase
from lerobot_arena.guard.seat import core_seat
from lerobot_arena.guard.verify.asking import run_of
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject

_RACES = 20
_SHORTEST_RAMP_S = 0.1


def start_in_emergency(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.arm.estop("verify")
    sent = len(world.commands)
    for verb in (world.arm.start, world.arm.resume):
        answer = verb()
        claims.that(
            not answer.success and "e-stop" in answer.message, f"{verb.__name__} refused: {answer.message}"
        )
    world.step(50)
    claims.silent_since(world, sent)


def reset_too_early(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.arm.estop("verify")
    early = world.arm.reset()
    claims.that(not early.success, f"at once: {early.message}", "reset in the same breath as the e-stop")
    world.step(subject.cycles(subject.params.reset_cooldown_s) + 1)
    world.embodiment = EmbodimentStatus("arm", "verify", message="No port.")
    world.step()
    refusals = world.arm.state().reset_refusals
    answer = world.arm.reset()
    claims.that(
        not answer.success and bool(refusals),
        f"cause persists: {answer.message}",
        "reset with its cause still there",
    )
    claims.state(world, EMERGENCY)


def reset_moves_nothing(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.arm.estop("verify")
    sent = len(world.commands)
    world.step(subject.cycles(subject.params.reset_cooldown_s) + 1)
    answer = world.arm.reset()
    claims.that(answer.success, f"{answer.message}", f"reset refused: {answer.message}")
    world.step(subject.cycles(2.0))
    claims.state(world, IDLE)
    claims.silent_since(world, sent, "before a start")


def estop_any_time(subject: Subject, claims: Claims) -> None:
    world = subject.world()
    answers = [world.arm.estop("verify"), world.arm.estop("verify")]
    claims.that(all(answer.success for answer in answers), "twice, and before a start: latched")
    claims.that(
        "no answer" in world.arm.state().sink, f"the sink: {world.arm.state().sink}", "an answer nobody gave"
    )
    world.arm.sink_answered("acknowledged: verify")
    claims.that(world.arm.state().sink == "acknowledged: verify", "then what it acknowledged")
    claims.state(world, EMERGENCY)


def estop_races(subject: Subject, claims: Claims) -> None:
    late = sum(_lost_race(subject) for _ in range(_RACES))
    claims.that(
        late == 0,
        f"{_RACES} races with start and the control thread: the e-stop won all",
        f"{late} of {_RACES} races with start and the control thread were lost",
    )
    verb_in_a_cycle(subject, claims)


def _lost_race(subject: Subject) -> bool:
    """Whether a command left after an e-stop that raced with a start had returned."""
    world = subject.running()
    world.arm.stop()
    barrier, returned = threading.Barrier(3), threading.Event()

    def begin() -> None:
        barrier.wait()
        world.arm.start()

    def tick() -> None:
        barrier.wait()
        while not returned.is_set():
            world.step()
        world.step(5)

    threads = [threading.Thread(target=work) for work in (begin, tick)]
    for thread in threads:
        thread.start()
    barrier.wait()
    world.arm.estop("verify")
    after = len(world.commands)
    returned.set()
    for thread in threads:
        thread.join(5.0)
    return len(world.commands) != after or not world.arm.state().estop_latched


def verb_in_a_cycle(subject: Subject, claims: Claims) -> None:
    """The verb comes while the control thread is asking its checks: the command of that very cycle must not leave."""
    for verb in ("estop", "stop", "pause"):
        world = subject.running()
        parts = run_of(world).loop.parts

        def press(arm: GuardedArm = world.arm, verb: str = verb) -> None:
            arm.estop("verify") if verb == "estop" else getattr(arm, verb)()

        seat = core_seat(_Pressing(press, parts.checks.body))
        parts.checks.chain = Chain(
            [*parts.checks.chain.seats, seat], enforcement=subject.params.enforcement_mode
        )
        sent = len(world.commands)
        world.step(10)
        claims.silent_since(world, sent, f"after {verb} in the middle of a cycle")


class _Pressing(Check):
    """A check that finds nothing, and presses a button meanwhile."""

    name: ClassVar[str] = "verify_pressing"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.SHAPE

    def __init__(self, press: Callable[[], None], body: Body) -> None:
        super().__init__(NoParams(), body)
        self._press = press

    def examine(self, given: CheckInput) -> Finding:
        self._press()
        return Finding()


def sink_raises(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.ports.sink_error = OSError("port gone")
    world.arm.estop("verify")
    sent = len(world.commands)
    world.step(50)
    state = world.arm.state()
    claims.state(world, EMERGENCY)
    claims.that("port gone" in state.sink, f"the sink: {state.sink}")
    claims.silent_since(world, sent)


def resumed_elsewhere(subject: Subject, claims: Claims) -> None:
    ramp_s, joint = subject.params.ramp_s, subject.robot.joints[0]
    world = subject.running()
    epoch, asked = world.arm.state().epoch, world.ports.requests[-1]
    world.arm.pause()
    sent = len(world.commands)
    world.measured[0] += 0.15 * subject.spans[0]
    elsewhere = world.measured[0]
    world.step(subject.cycles(1.0))
    claims.that(world.state == PAUSED, "paused")
    claims.silent_since(world, sent, "while paused")
    world.policy = subject.towards(-0.15)
    answer = world.arm.resume()
    claims.that(answer.success and world.arm.state().epoch > epoch, "resumed in a new epoch", answer.message)
    world.arm.on_chunk(world.make_chunk(asked))
    world.step(subject.cycles(ramp_s) + 2)
    path = [elsewhere, *(command.positions[0] for command in world.commands[sent:])]
    steps = [abs(b - a) for a, b in pairwise(path)]
    claims.that(bool(steps) and max(steps) > 0.0, "it moves again", "it does not move again")
    full = joint.max_velocity_rad_s * world.arm.period_s
    # The cycles in which the first chunk was awaited are part of the ramp.
    shares = [
        max(0.1, (number + 3) / (ramp_s * subject.params.control_rate_hz + 1e-9))
        for number in range(len(steps))
    ]
    too_fast = [step for step, share in zip(steps, shares) if step > full * share + 1e-9]
    claims.that(
        ramp_s >= _SHORTEST_RAMP_S and not too_fast,
        f"from where it is (first step {steps[0] if steps else 0.0:.3g} rad), slowly growing over {ramp_s:g} s",
        f"ramp_s {ramp_s:g}: {len(too_fast)} steps too fast, the first {steps[0] if steps else 0.0:.3g} rad",
    )


def odd_numbers(subject: Subject, claims: Claims) -> None:
    for run in (
        {"n_cycles": 0},
        {"n_cycles": -5},
        {"cycle_budget_ms": nan},
        {"cycle_budget_ms": -1.0},
        {"cycle_budget_ms": 1e9},
    ):
        world = subject.world()
        world.want(task=subject.task, **run)
        answer = world.arm.start()
        what = ", ".join(f"{key} {value:g}" for key, value in run.items())
        claims.that(not answer.success, f"{what}: {answer.message}", f"{what}: started")
    world = subject.world()
    world.want(task=subject.task, n_cycles=30)
    world.start()
    world.step(60)
    claims.state(world, STOPPED, "asked for")
    claims.that(
        20 <= len(world.commands) <= 30,
        f"n_cycles 30: {len(world.commands)} commands",
        f"n_cycles 30: {len(world.commands)} commands",
    )


def started_twice(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    epoch = world.arm.state().epoch
    world.arm.start()
    sent = len(world.commands)
    world.step(10)
    claims.that(world.arm.state().epoch == epoch and world.state == RUNNING, "the first run is untouched")
    claims.that(len(world.commands) == sent + 10, "not a cycle lost")


def estop_creates_no_goal(subject: Subject, claims: Claims) -> None:
    world = subject.running(subject.towards(0.3))
    last = world.commands[-1]
    world.arm.estop("verify")
    world.step(50)
    claims.that(
        world.commands[-1] is last,
        "the last command stays the last: no zero pose, no new goal",
        "a new command",
    )
    claims.that(
        world.ports.sink_calls == ["emergency_stop"],
        "the embodiment was asked to stop",
        f"{world.ports.sink_calls}",
    )


ROWS = (
    FaultRow("F1", "a start in the emergency", "refused until the reset", start_in_emergency, ("latch",)),
    FaultRow(
        "F2",
        "a reset at once, or while the cause persists",
        "refused with the causes",
        reset_too_early,
        ("reset_causes",),
    ),
    FaultRow("F3", "a reset", "disarmed; nothing moves by itself", reset_moves_nothing),
    FaultRow(
        "F4",
        "e-stop twice, before a start, without hardware",
        "latched; the sink's answer is told truthfully",
        estop_any_time,
    ),
    FaultRow("F5", "e-stop and start race", "the e-stop wins", estop_races, ("latch", "commit")),
    FaultRow("F6", "the sink's emergency_stop raises", "still latched, still silent, told", sink_raises),
    FaultRow(
        "F7",
        "resume after the arm was moved",
        "new epoch, from where it is, with slowly growing speed",
        resumed_elsewhere,
        ("ramp", "reseed", "epoch"),
    ),
    FaultRow(
        "F8", "n_cycles 0 or -5, a budget of 0, NaN or hours", "refused; n cycles are n cycles", odd_numbers
    ),
    FaultRow("F9", "a second start", "the first run is untouched", started_twice),
    FaultRow(
        "F10", "what an e-stop sends", "no new goal; the embodiment is asked to stop", estop_creates_no_goal
    ),
)
