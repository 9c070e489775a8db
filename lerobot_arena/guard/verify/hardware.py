# SPDX-License-Identifier: Apache-2.0
"""Faults of the arm and its driver (H1 to H5)."""

from dataclasses import replace
from typing import Any

import numpy as np

from lerobot_arena.core.reaction import SLOW_DOWN
from lerobot_arena.core.session import EMERGENCY, RUNNING, STOPPED
from lerobot_arena.core.verdict import Decision, Outcome
from lerobot_arena.guard.boundary import Node
from lerobot_arena.guard.verify.asking import said, until_held, until_over
from lerobot_arena.guard.verify.row import Claims, FaultRow
from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld

# check → its field, a value to be warned of, one beyond its limit, and what makes it judge so
_LEVELS: dict[str, tuple[str, float, float, dict[str, float]]] = {
    "temperature": ("temperature_c", 61.0, 90.0, {"warn_c": 60.0, "max_c": 70.0}),
    "current": ("current_a", 61.0, 90.0, {"warn_a": 60.0, "max_a": 70.0}),
    "voltage": (
        "voltage_v",
        61.0,
        90.0,
        {"min_v": 0.0, "warn_below_v": 0.0, "warn_above_v": 60.0, "max_v": 70.0},
    ),
}


def _reading(world: GuardWorld, field: str, value: float) -> None:
    assert world.hardware is not None
    changed: dict[str, Any] = {field: (value,) * len(world.hardware.joint_names)}
    world.hardware = replace(world.hardware, **changed)


def too_hot(subject: Subject, claims: Claims) -> None:
    for name, (field, warning, limit, params) in _LEVELS.items():
        warned = {**params, "reject_at_warn": True}
        world = subject.running(config=subject.guarded_only_by(Node(name, params=warned, fallback=SLOW_DOWN)))
        _reading(world, field, warning)
        world.step(5)
        claims.that(
            world.ports.cycles[-1].reaction == SLOW_DOWN and world.state == RUNNING,
            f"{name} at its warning level: slower",
            f"{name} at its warning level: {world.ports.cycles[-1].reaction or 'nothing'}",
        )
        _slowly_when_warned(subject, claims, world, name)
        _reading(world, field, limit)
        record = until_held(world, 5)
        sent = len(world.commands)
        until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
        claims.that(
            record.decision is Decision.FAULT and world.state == EMERGENCY,
            f"{name} beyond its limit: FAULT, latched",
            f"{name} beyond its limit: {record.decision.name}, {world.state}",
        )
        claims.silent_since(world, sent)
        answer = world.arm.reset()
        claims.that(
            not answer.success and "limit is 70" in answer.message, f"reset refused: {answer.message}"
        )


def _slowly_when_warned(subject: Subject, claims: Claims, world: GuardWorld, name: str) -> None:
    """What slower means: the commands keep to that share of the joints' speeds."""
    begin = len(world.commands)
    world.policy = subject.towards(0.3)
    world.step(subject.cycles(0.6))
    path = np.array([command.positions for command in world.commands[begin:]])
    speeds = np.abs(np.diff(path, axis=0)) * subject.params.control_rate_hz
    most = max(speeds[:, 0]) / subject.robot.joints[0].max_velocity_rad_s
    claims.that(
        0.0 < most <= subject.params.slow_factor + 1e-6,
        f"{name}: at {most:.0%} of full speed",
        f"{name}: at {most:.0%} of full speed, slow_factor is {subject.params.slow_factor:g}",
    )


def does_not_follow(subject: Subject, claims: Claims) -> None:
    node = Node("following_error", params={"limit_rad": 0.05, "lag_s": 0.0, "window_s": 0.2})
    world = _blocked(subject, node)
    record = _until_fault(world, subject.cycles(2.0))
    claims.that(said(world, "", Decision.FAULT), f"FAULT: {record}", "driven against the obstacle for 2 s")
    last = world.commands[-1].positions
    claims.that(
        last == tuple(world.measured),
        "the last command is where the arm is: it stops pushing",
        f"last command {last}",
    )
    pushed = len(world.commands)
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.silent_since(world, pushed, "after that one")
    claims.that(world.state == STOPPED, f"{world.arm.state().message}", f"state {world.state}")


def _blocked(subject: Subject, node: Node) -> GuardWorld:
    """An arm that stays where it is, whatever it is sent."""
    world = subject.world(subject.towards(0.1, 0.1), config=subject.guarded_only_by(node))
    world.is_following = False
    world.start()
    return world


def _until_fault(world: GuardWorld, cycles: int) -> str:
    """Go on until a FAULT; its reason."""
    for _ in range(cycles):
        record = world.step()
        if record.decision is Decision.FAULT:
            return record.reason
    return ""


def _embodiment_fault(subject: Subject, claims: Claims, what: str, **status: Any) -> None:
    world = subject.running()
    assert world.embodiment is not None
    world.embodiment = replace(world.embodiment, **status)
    record = world.step()
    sent = len(world.commands)
    claims.that(
        record.decision is Decision.FAULT and record.outcome is Outcome.HELD,
        f"{what}: {record.reason}",
        f"{what}: {record.decision.name}, {record.outcome.name}",
    )
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.state(world, EMERGENCY)
    refused = world.arm.reset()
    claims.that(not refused.success, "reset refused while it lasts", "reset went through while it lasts")
    world.embodiment = replace(world.embodiment, is_connected=True, is_protective_stop=False)
    world.step(subject.cycles(1.0))
    claims.silent_since(world, sent, "when it is back")
    reset = world.arm.reset()
    claims.that(reset.success, "reset goes through when it is over", f"reset refused: {reset.message}")
    world.step(subject.cycles(0.5))
    claims.silent_since(world, sent, "after the reset")
    world.start()
    claims.kept_limits(world, since=sent)


def protective_stop(subject: Subject, claims: Claims) -> None:
    _embodiment_fault(subject, claims, "protective stop", is_protective_stop=True, message="reflex")


def port_gone(subject: Subject, claims: Claims) -> None:
    _embodiment_fault(subject, claims, "port gone", is_connected=False, message="No such port.")


def driver_silent(subject: Subject, claims: Claims) -> None:
    world = subject.running()
    world.embodiment = None
    record = until_held(world, subject.cycles(10.0))
    sent = len(world.commands)
    claims.that(
        record.decision is Decision.FAULT and "silent" in record.reason,
        f"FAULT: {record.reason}",
        f"driven on: {record.reason}",
    )
    until_over(world, subject.cycles(subject.params.hold_grace_s) + 5)
    claims.silent_since(world, sent)
    claims.state(world, EMERGENCY)


ROWS = (
    FaultRow(
        "H1",
        "too hot, too much current, wrong voltage",
        "slower at the warning level, FAULT and latched at the limit; no reset while it lasts",
        too_hot,
        ("temperature", "current", "voltage", "slow_down"),
    ),
    FaultRow(
        "H2",
        "the arm does not follow",
        "FAULT; one command to where it is, then silence, stopped",
        does_not_follow,
        ("following_error",),
    ),
    FaultRow(
        "H3",
        "the robot stops by itself",
        "FAULT, latched, nothing sent, no going on by itself",
        protective_stop,
        ("heartbeat",),
    ),
    FaultRow("H4", "the driver falls silent", "FAULT, latched", driver_silent, ("heartbeat",)),
    FaultRow(
        "H5",
        "the port is gone and back",
        "FAULT, latched; moves again after reset and start, from where it is",
        port_gone,
        ("heartbeat",),
    ),
)
