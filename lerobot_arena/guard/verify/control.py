# SPDX-License-Identifier: Apache-2.0
"""Faults of the verbs (F1 to F10)."""

import threading
from math import nan

from lerobot_arena.core.session import EMERGENCY, PAUSED, RUNNING, STOPPED, EmbodimentStatus
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject

_RACES = 20


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
    claims.state(world, STOPPED)
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
    late = 0
    for _ in range(_RACES):
        world = subject.running()
        world.arm.stop()
        barrier, returned = threading.Barrier(3), threading.Event()
        sent: list[int] = []

        def begin(world=world, barrier=barrier) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            world.arm.start()

        def tick(world=world, barrier=barrier, returned=returned, sent=sent) -> None:  # type: ignore[no-untyped-def]
            barrier.wait()
            while not returned.is_set():
                world.step()
            sent.append(len(world.commands))
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
        late += (len(world.commands) != after) + (not world.arm.state().estop_latched)
    claims.that(
        late == 0,
        f"{_RACES} races with start and the control thread: the e-stop won all",
        f"{late} races lost",
    )


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
    world = subject.running()
    epoch, asked = world.arm.state().epoch, world.ports.requests[-1]
    world.arm.pause()
    sent = len(world.commands)
    world.measured[0] += 0.15 * subject.spans[0]
    elsewhere = world.measured[0]
    world.step(subject.cycles(1.0))
    claims.that(world.state == PAUSED, "paused")
    claims.silent_since(world, sent, "while paused")
    answer = world.arm.resume()
    claims.that(answer.success and world.arm.state().epoch > epoch, "resumed in a new epoch", answer.message)
    world.arm.on_chunk(world.make_chunk(asked))
    world.step(6)
    first = world.commands[sent:][:1]
    jump = abs(first[0].positions[0] - elsewhere) if first else nan
    ramp = subject.robot.joints[0].max_velocity_rad_s * world.arm.period_s * 0.5
    claims.that(
        jump <= ramp,
        f"first step {jump:.3g} rad from where the arm is",
        f"it jumped by {jump:.3g} rad, or did not move",
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
        "F2", "a reset at once, or while the cause persists", "refused with the causes", reset_too_early
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
        ("epoch",),
    ),
    FaultRow(
        "F8", "n_cycles 0 or -5, a budget of 0, NaN or hours", "refused; n cycles are n cycles", odd_numbers
    ),
    FaultRow("F9", "a second start", "the first run is untouched", started_twice),
    FaultRow(
        "F10", "what an e-stop sends", "no new goal; the embodiment is asked to stop", estop_creates_no_goal
    ),
)
