# SPDX-License-Identifier: Apache-2.0
"""Faults of the processes around the guard, as far as they show in memory (D1 to D7, D9, D10, D12 to D15).

What only real processes can show (SIGKILL, SIGSTOP, floods over DDS) is tried by test/safety.
"""

import threading
from typing import ClassVar

from lerobot_arena.core.hardware import HostHealth
from lerobot_arena.core.session import ERROR, IDLE, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Node
from lerobot_arena.guard.chain import Chain
from lerobot_arena.guard.checks.protocol import Check, CheckInput, Finding, NoParams, Phase
from lerobot_arena.guard.seat import core_seat
from lerobot_arena.guard.verify.asking import run_of, until_held, until_over
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld

_FLOOD = 2000


def _falls_silent(subject: Subject, claims: Claims, world: GuardWorld, what: str) -> int:
    """Inference gives nothing from now on: held in time, stopped with the reason. Returns the commands by then."""
    sent = len(world.commands)
    allowed = subject.cycles(subject.params.action_timeout_s) + 1
    until_held(world, allowed + 5)
    held = len(world.commands)
    claims.that(
        held - sent <= allowed,
        f"{what}: {held - sent} more commands",
        f"{what}: {held - sent} more commands where {allowed} are allowed",
    )
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.state(world, STOPPED, "nference")
    claims.silent_since(world, held)
    return held


def policy_dies(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.is_inference_alive = False
    held = _falls_silent(subject, claims, world, "killed")
    world.is_inference_alive = True
    world.step(subject.cycles(1.0))
    claims.silent_since(world, held, "when it is back, before an explicit start")
    world.start()
    claims.kept_limits(world)


def policy_hangs(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    late = world.make_chunk(world.ports.requests[-1])
    world.is_policy_alive = False
    held = _falls_silent(subject, claims, world, "hung")
    world.arm.on_chunk(late)
    world.step(10)
    claims.silent_since(world, held, "from what the hung call gave at last")
    again = subject.running()
    again.is_policy_alive = False
    again.step(subject.cycles(0.2))
    again.arm.estop("verify")
    sent = len(again.commands)
    again.step(subject.cycles(1.0))
    claims.silent_since(again, sent, "after an e-stop while it hung")


def policy_raises(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    sent = len(world.commands)
    world.change_status(status=ERROR, error_message="ValueError in layer 3", errors=1)
    world.step(10)
    claims.silent_since(world, sent)
    claims.state(world, STOPPED, "ValueError in layer 3")
    full = subject.running(config=subject.guarded_by(Node("host_health")))
    full.host = HostHealth(50.0, 99.9, 50.0, 10**10)
    record = until_held(full, 5)
    claims.that(record.decision is Decision.FAULT, f"memory full: {record.reason}", "memory full: driven on")


def guard_dies(subject: Subject, claims: Claims) -> None:
    """The next guard process: a new boot, later epochs, and chunks of the old one still on their way."""
    old = subject.running()
    epoch = old.arm.state().epoch
    new = subject.world(boot_id="boot-2", first_epoch=epoch + 1, measured=old.measured, clock=old.clock)
    for request in old.ports.requests[-3:]:
        new.arm.on_chunk(old.make_chunk(request))
    new.step(subject.cycles(1.0))
    claims.silent_since(new, 0, "from a respawned guard")
    claims.state(new, IDLE)
    new.start()
    claims.that(new.arm.state().epoch > epoch, "the next start has a later epoch")


def guard_stalls(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    sent = len(world.commands)
    last = world.commands[-1].positions
    record = world.step(period_s=max(3.0, 2.0 * subject.params.action_timeout_s))
    claims.that(
        record.outcome is Outcome.HELD, "what was queued is too old now: held", "a stale plan was played"
    )
    world.step(20)
    claims.that(
        len(world.commands) - sent <= 20, "no backlog", f"{len(world.commands) - sent} commands in 20 cycles"
    )
    if len(world.commands) > sent:
        jump = max(abs(a - b) for a, b in zip(world.commands[sent].positions, last))
        most = max(joint.max_velocity_rad_s for joint in subject.robot.joints) * 2.0 * world.arm.period_s
        claims.that(jump <= most, f"first step {jump:.3g}", f"it jumped by {jump:.3g}")


class _Broken(Check):
    """A check with a defect."""

    name: ClassVar[str] = "verify_broken"
    layer: ClassVar[str] = "L1"
    phase: ClassVar[Phase] = Phase.LIMIT

    def examine(self, given: CheckInput) -> Finding:
        raise ZeroDivisionError("on purpose")


class _Idle(_Broken):
    """A check that finds nothing."""

    name: ClassVar[str] = "verify_slow"

    def examine(self, given: CheckInput) -> Finding:
        return Finding()


def check_raises(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    parts = run_of(world).loop.parts
    seat = core_seat(_Broken(NoParams(), parts.checks.body))
    parts.checks.chain = Chain([seat, *parts.checks.chain.seats], enforcement=subject.params.enforcement_mode)
    sent = len(world.commands)
    record = world.step()
    others = {verdict.check for verdict in record.verdicts} - {seat.name}
    claims.that(
        record.decision is Decision.FAULT and "ZeroDivisionError" in record.reason,
        f"FAULT: {record.reason}",
        f"{record.decision.name}",
    )
    claims.that("position_limits" in others, "the other checks were still asked")
    claims.silent_since(world, sent, "with it")


def check_overruns(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    parts = run_of(world).loop.parts
    seat = core_seat(_Idle(NoParams(), parts.checks.body))
    ticks = iter(range(0, 10**15, round(2e6 * subject.params.check_budget_ms)))
    parts.checks.chain = Chain(
        [seat, *parts.checks.chain.seats],
        budget_ms=subject.params.check_budget_ms,
        enforcement=subject.params.enforcement_mode,
        timer=lambda: next(ticks),
        processor_timer=lambda: next(ticks),
    )
    sent = len(world.commands)
    record = world.step()
    claims.that(
        record.decision is Decision.FAULT and "ms" in record.reason,
        f"FAULT: {record.reason}",
        f"{record.decision.name}",
    )
    claims.silent_since(world, sent, "with it")
    budget_ms, period_ms = subject.params.check_budget_ms, 1e3 / subject.params.control_rate_hz
    claims.that(
        budget_ms <= 5.0 * period_ms,
        f"check_budget_ms {budget_ms:g}",
        f"check_budget_ms {budget_ms:g}: a check may hang for many cycles of {period_ms:g} ms",
    )


def flood_of_questions(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    for _ in range(10):
        sent = len(world.commands)
        for _ in range(_FLOOD // 100):
            world.arm.state()
            world.arm.start()
            world.arm.on_wanted(world.arm.knowledge.wanted)
        world.step()
        claims.that(len(world.commands) == sent + 1, "a command in every cycle", "cycles were lost")
    claims.kept_limits(world)


def estop_in_a_flood(subject: Subject, claims: Claims) -> None:
    """Threads that flood chunks and ticks while another presses the e-stop."""
    world = subject.running()
    request, ending = world.ports.requests[-1], threading.Event()
    chunks = [world.make_chunk(request) for _ in range(200)]

    def flood() -> None:
        while not ending.is_set():
            for chunk in chunks:
                world.arm.on_chunk(chunk)

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    world.step(3)
    answer = world.arm.estop("verify")
    sent = len(world.commands)
    world.step(20)
    ending.set()
    for thread in threads:
        thread.join(5.0)
    claims.that(answer.success and world.arm.state().estop_latched, "latched in the middle of it")
    claims.silent_since(world, sent)


def flood_of_chunks(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    for _ in range(20):
        sent, request = len(world.commands), world.ports.requests[-1]
        for _ in range(_FLOOD // 20):
            world.arm.on_chunk(world.make_chunk(request))
        world.step()
        claims.that(
            len(world.commands) == sent + 1, "a command in every cycle", "cycles were lost or doubled"
        )
    claims.kept_limits(world)


def second_publisher(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.arm.on_publishers(("/evil/node",))
    sent = len(world.commands)
    record = world.step()
    claims.that(
        record.decision is Decision.FAULT and "/evil/node" in record.reason,
        f"FAULT: {record.reason}",
        f"{record.decision.name}, {record.outcome.name}",
    )
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.silent_since(world, sent)
    answer = world.arm.start()
    claims.that(not answer.success and "/evil/node" in answer.message, "start refused while it is there")


def nothing_arrives(subject: Subject, claims: Claims) -> None:
    """What an incompatible QoS looks like from inside: nobody is heard."""
    world = subject.world()
    world.is_policy_alive = False
    world.arm.start()
    until_over(world, subject.cycles(subject.params.first_chunk_timeout_s) + 10)
    claims.silent_since(world, 0, "without a chunk")
    claims.that(world.state != RUNNING, f"stopped: {world.arm.state().message}", "it waits for ever")
    deaf = subject.world(are_joints_alive=False)
    answer = deaf.arm.start()
    claims.that(not answer.success, f"without joints: {answer.message}", "without joints: started")


def interpreter_hogged(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    record = world.step(4, period_s=0.2)
    claims.that(record.outcome is Outcome.HELD, f"held: {record.reason}", "driven on at a fifth of the rate")
    claims.kept_limits(world, periods=2.0)
    machine = subject.running(config=subject.guarded_by(Node("host_health")))
    machine.host = None
    record = until_held(machine, subject.cycles(15.0))
    claims.that(
        record.decision is Decision.FAULT,
        f"nobody looks any more: {record.reason}",
        "nobody looks any more: driven on",
    )


ROWS = (
    FaultRow(
        "D1",
        "the policy's process is killed",
        "held within action timeout + 1 cycle, stopped; explicit start",
        policy_dies,
        ("action_present",),
    ),
    FaultRow(
        "D2",
        "the policy hangs",
        "as D1; e-stop at once; what the hung call gives at last is discarded",
        policy_hangs,
        ("action_present",),
    ),
    FaultRow(
        "D3",
        "the policy raises, or eats the memory",
        "stopped with its message; the guard goes on",
        policy_raises,
        ("host_health",),
    ),
    FaultRow(
        "D4",
        "the guard is killed",
        "the next one is disarmed; only a start with a later epoch moves",
        guard_dies,
    ),
    FaultRow(
        "D5",
        "the guard is suspended and goes on",
        "no stale plan, no backlog, no jump",
        guard_stalls,
        ("action_age",),
    ),
    FaultRow("D6", "a check raises", "FAULT in that cycle, the others are still asked, held", check_raises),
    FaultRow("D7", "a check takes too long", "FAULT, held", check_overruns),
    FaultRow("D9", "a flood of requests", "the control cycle does not notice", flood_of_questions),
    FaultRow("D10", "an e-stop in a flood", "latched at once, nothing follows", estop_in_a_flood, ("latch",)),
    FaultRow("D12", "a flood of chunks", "the newest counts; one command a cycle", flood_of_chunks),
    FaultRow(
        "D13",
        "somebody else commands the arm",
        "FAULT, stopped, start refused",
        second_publisher,
        ("single_publisher",),
    ),
    FaultRow(
        "D14",
        "nothing arrives (incompatible QoS)",
        "not ready, or stopped in time, with the reason",
        nothing_arrives,
    ),
    FaultRow(
        "D15",
        "the interpreter or the machine is hogged",
        "held as in C5",
        interpreter_hogged,
        ("pacing", "host_health"),
    ),
)
