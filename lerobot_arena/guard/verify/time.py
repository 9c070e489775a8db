# SPDX-License-Identifier: Apache-2.0
"""Faults of clocks and of keeping time (C1 to C5)."""

import numpy as np

from lerobot_arena.core.clock import NS
from lerobot_arena.core.session import RUNNING
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.verify.asking import until_held
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject


def wall_clock_jumps(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    for hours in (1, -2):
        world.clock.wall_offset_ns += hours * 3600 * NS
        sent = len(world.commands)
        world.step(50)
        claims.that(
            len(world.commands) == sent + 50,
            f"{hours:+d} h: no cycle was lost",
            f"{hours:+d} h: cycles were held",
        )
    claims.state(world, RUNNING)
    claims.kept_limits(world)


def stamps_stand_still(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    frozen_ns = world.clock.wall_ns()
    allowed = subject.cycles(subject.params.joint_timeout_s) + 1
    for _ in range(allowed + 10):
        world.clock.wall_offset_ns = frozen_ns - world.clock.now_ns
        record = world.step()
    claims.that(
        record.outcome is not Outcome.HELD, "messages that keep coming are fresh, whatever their stamp"
    )
    world.are_joints_alive = False
    sent = len(world.commands)
    for _ in range(allowed + 2):
        world.clock.wall_offset_ns = frozen_ns - world.clock.now_ns
        record = world.step()
    used = len(world.commands) - sent
    claims.that(
        used <= allowed and record.decision is Decision.FAULT,
        "silence ages on the steady clock and holds",
        f"{used} more commands with the clock paused",
    )


def stamps_begin_again(subject: Subject, claims: Claims) -> None:
    """A simulator that is reset: stamps from 0, and the arm back where it began."""
    world = subject.running()
    epoch = world.arm.state().epoch
    world.clock.wall_offset_ns = -world.clock.now_ns
    index = 0
    world.measured[index] += 0.35 * subject.spans[index]
    record = world.step()
    sent = len(world.commands)
    world.step(subject.cycles(1.0))
    claims.that(
        record.outcome is Outcome.HELD, f"held: {record.reason}", "driven on as if nothing had happened"
    )
    claims.silent_since(world, sent, "before an explicit start")
    world.start()
    claims.that(world.arm.state().epoch > epoch, "the next start opens a new epoch")


def odd_gaps(subject: Subject, claims: Claims) -> None:
    period_s = 1.0 / subject.params.control_rate_hz
    most = np.array([joint.max_velocity_rad_s for joint in subject.robot.joints]) * 2.0 * period_s
    for gap_s in (0.0, 1e-9, 3.9 * period_s, 10.0):
        world = subject.running(subject.towards(0.45, 0.1))
        before = np.array(world.measured)
        world.step(period_s=gap_s)
        step = np.abs(np.array(world.measured) - before)
        claims.that(
            bool((step <= most + 1e-9).all()),
            f"{gap_s:g} s: no larger step",
            f"{gap_s:g} s allowed {step.max():.3g}",
        )
        world.step(5)
        claims.kept_limits(world, periods=2.0)
    world = subject.running()
    world.clock.advance(-1.0)
    sent = len(world.commands)
    world.step(5)
    claims.kept_limits(world, since=sent, periods=2.0)


def overrun(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    period_s = world.arm.period_s
    world.step(2, period_s=2.5 * period_s)
    claims.that(world.ports.cycles[-1].outcome is not Outcome.HELD, "two late cycles are borne")
    record = world.step(period_s=2.5 * period_s)
    claims.that(
        record.outcome is Outcome.HELD and record.decision is Decision.FAULT and record.late,
        f"the third in a row holds: {record.reason}",
        f"the third in a row: {record.outcome.name}",
    )
    claims.that(world.arm.state().late_cycles == 3, "counted")
    record = until_held(world, 3)
    claims.that(record.outcome is not Outcome.HELD, "it goes on when it keeps its time again")


ROWS = (
    FaultRow(
        "C1", "the wall clock jumps by hours", "no effect: ages are on the steady clock", wall_clock_jumps
    ),
    FaultRow(
        "C2",
        "the stamps stand still (paused simulation time)",
        "age still grows from receipt; silence holds",
        stamps_stand_still,
        ("joint_age",),
    ),
    FaultRow(
        "C3",
        "simulation time begins again at 0",
        "held; moves again only after a start with a new epoch",
        stamps_begin_again,
        ("teleport",),
    ),
    FaultRow(
        "C4",
        "no, negative or 10 s between two cycles",
        "limits are kept; no gap allows a larger step",
        odd_gaps,
        ("step_time", "velocity"),
    ),
    FaultRow(
        "C5", "the control loop overruns", "three late cycles in a row hold, counted", overrun, ("pacing",)
    ),
)
