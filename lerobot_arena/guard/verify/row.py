# SPDX-License-Identifier: Apache-2.0
"""One fault of the list: what happens, what has to follow, and a function that tries it."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from lerobot_arena.guard.verify.subject import Subject
from lerobot_arena.guard.verify.world import GuardWorld

_ROUNDING, _ROUNDED = 1e-9, 1.0 + 1e-6


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether the expected happened, and what did."""

    ok: bool
    got: str


@dataclass(frozen=True, slots=True)
class FaultRow:
    """`removed` names parts without which this row has to fail; scripts/mutate_checks.py takes them away."""

    id: str
    fault: str
    expected: str
    attempt: "Attempt"
    removed: tuple[str, ...] = ()


class Claims:
    """Gathers what was seen. All of it has to hold; what did not is what the table shows."""

    def __init__(self) -> None:
        self._held: list[str] = []
        self._failed: list[str] = []

    def that(self, holds: bool, held: str, failed: str = "") -> None:
        """`held` says what was seen when it holds, `failed` when it does not."""
        if holds:
            self._held.append(held)
        else:
            self._failed.append(failed or f"not so: {held}")

    def evidence(self) -> Evidence:
        found = filter(None, dict.fromkeys(self._failed or self._held))
        return Evidence(not self._failed and bool(self._held), "; ".join(found))

    def kept_limits(
        self, world: GuardWorld, *, since: int = 0, inside: bool = True, periods: float = 1.0
    ) -> None:
        """Every command from `since` on is finite, of the right length, inside the limits, and no faster than them.

        A late cycle may use up to two `periods`.
        """
        problem = limit_problem(world, since=since, inside=inside, periods=periods)
        self.that(not problem, f"{len(world.commands) - since} commands inside all limits", problem)

    def silent_since(self, world: GuardWorld, sent: int, what: str = "after it") -> None:
        """No command left since there were `sent`."""
        extra = len(world.commands) - sent
        self.that(extra == 0, f"0 commands {what}", f"{extra} commands {what}")

    def state(self, world: GuardWorld, wanted: str, words: str = "") -> None:
        """The guard is in this state, and its message says why."""
        seen = world.arm.state()
        text = f"state {seen.state}" + (f": {seen.message}" if seen.message else "")
        self.that(
            seen.state == wanted and words in seen.message, text, f"{text}, not {wanted} with {words!r}"
        )


Attempt = Callable[[Subject, Claims], None]


def tried(row: FaultRow, subject: Subject) -> Evidence:
    """What happens; a fault that could not even be tried is no pass."""
    claims = Claims()
    try:
        row.attempt(subject, claims)
    except Exception as error:
        claims.that(False, "", f"could not be tried: {type(error).__name__}: {error}")
    return claims.evidence()


def limit_problem(world: GuardWorld, *, since: int = 0, inside: bool = True, periods: float = 1.0) -> str:
    """What is wrong with the commands of a world; empty when nothing is."""
    space = world.arm.knowledge.space
    if space is None:
        return "the arm has no limits"
    limits, names = space.limits, space.joint_names
    commands = world.commands[since:]
    for command in commands:
        if len(command.positions) != len(names) or not all(map(isfinite, command.positions)):
            return f"a command was {command.positions}"
        for name, value, low, high in zip(names, command.positions, limits.lower, limits.upper):
            if inside and not low - _ROUNDING <= value <= high + _ROUNDING:
                return f"{name} was sent to {value:.4g}, its range is {low:.4g} to {high:.4g}"
    for old, new in pairwise(commands):
        if (old.epoch, old.sequence + 1) != (new.epoch, new.sequence):
            continue
        for name, a, b, speed in zip(names, old.positions, new.positions, limits.max_velocity):
            if abs(b - a) > speed * periods * new.period_s * _ROUNDED + _ROUNDING:
                return (
                    f"{name} moved at {abs(b - a) / new.period_s:.3g} {space.unit}/s, allowed are {speed:.3g}"
                )
    return ""
