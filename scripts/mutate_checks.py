#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Takes away one part of the guard after the other, and fails when the fault list does not notice.

`python scripts/mutate_checks.py [PART …]`: each check of the table is made blind in turn, then the latch, the epochs,
the commit lock and further parts. A part is noticed when a row that passes with it fails without it.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

from lerobot_arena.cli.guard import all_rows
from lerobot_arena.core.robot import load_robot
from lerobot_arena.core.session import STOPPED
from lerobot_arena.guard import config_book
from lerobot_arena.guard.checks.protocol import PASSED
from lerobot_arena.guard.checks.table import CHECKS
from lerobot_arena.guard.chunk_queue import ChunkQueue
from lerobot_arena.guard.joint_space import JointSpace
from lerobot_arena.guard.loop import ControlLoop, Pace
from lerobot_arena.guard.motion import MotionMemory
from lerobot_arena.guard.params import GuardParams
from lerobot_arena.guard.reactions import Reactions
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.state_machine import StateMachine, Status
from lerobot_arena.guard.verify.row import FaultRow, tried
from lerobot_arena.guard.verify.subject import Subject, subject_of
from lerobot_arena.guard.verify.world import plain_config

WORKERS = 2


@dataclass(frozen=True)
class Mutant:
    """A part by name; `change` is put in place of `owner.attribute`."""

    part: str
    owner: Any
    attribute: str
    change: Any

    @contextmanager
    def alive(self) -> Iterator[None]:
        inherited = object()
        before = vars(self.owner).get(self.attribute, inherited)
        setattr(self.owner, self.attribute, self.change)
        try:
            yield
        finally:
            if before is inherited:
                delattr(self.owner, self.attribute)
            else:
                setattr(self.owner, self.attribute, before)


def _estop_that_only_stops(self: Any, message: str, *, epoch: int | None = None) -> bool:
    with self._lock:
        self._status = Status(STOPPED, self._status.epoch, message, self._status.run)
        return True


def _commit_without_looking(self: Any, epoch: int, send: Callable[[], None]) -> bool:
    send()
    return True


def _no_epoch(self: Any, chunk: Any) -> None:
    if chunk.sequence <= self._sequence:
        raise config_book.InvalidInput("The action chunk is refused: it came late.")


def _no_sequence(self: Any, chunk: Any) -> None:
    if (chunk.session_id, chunk.epoch) != (self._session_id, self._epoch):
        raise config_book.InvalidInput("The action chunk is refused: another run's.")


def _as_they_come(self: Any, names: tuple[str, ...], what: str) -> list[int]:
    return [min(index, len(names) - 1) for index in range(len(self.joint_names))]


def _where_it_was_sent(self: Any, measured: Any) -> None:
    if len(self.command) != len(measured):
        self.command = tuple(measured)
    self.velocity, self.is_seeded = (0.0,) * len(measured), True


_step_time = vars(ControlLoop)["_step_time"]


def _whatever_passed(self: Any, now_ns: int) -> float:
    before_ns = self._last_tick_ns
    kept = _step_time(self, now_ns)
    return kept if before_ns is None else max(1e-6, (now_ns - before_ns) / 1e9)


PARTS = (
    Mutant("latch", StateMachine, "estop", _estop_that_only_stops),
    Mutant("commit", StateMachine, "commit", _commit_without_looking),
    Mutant("epoch", ChunkQueue, "_check_addressing", _no_epoch),
    Mutant("sequence", ChunkQueue, "_check_addressing", _no_sequence),
    Mutant("joint_order", JointSpace, "order", _as_they_come),
    Mutant("loosening", config_book, "loosening", lambda old, new: ""),
    Mutant("reset_causes", StateMachine, "reset", lambda self, message, causes=(): _reset(self, message)),
    Mutant("reseed", MotionMemory, "seed", _where_it_was_sent),
    Mutant("step_time", ControlLoop, "_step_time", _whatever_passed),
    Mutant("ramp", Pace, "ramp", property(lambda self: 1.0)),
    Mutant("slow_down", Reactions, "speed", property(lambda self: 1.0)),
)


def _reset(self: Any, message: str) -> None:
    with self._lock:
        self._status = Status(STOPPED, self._status.epoch, message, self._status.run)


def mutants() -> list[Mutant]:
    """Each check of the table without its eyes, and PARTS."""
    blind = [Mutant(name, CHECKS.load(name), "examine", lambda self, given: PASSED) for name in CHECKS]
    return [*blind, *PARTS]


@cache
def _subjects() -> tuple[Subject, ...]:
    """As shipped, and with nothing but the core checks: what another check hides in one shows in the other."""
    robot, params = load_robot("so101"), GuardParams()
    return subject_of(robot, params, plain_config()), subject_of(robot, params, shipped_config())


@cache
def _passes(row_id: str, index: int) -> bool:
    row = next(row for row in all_rows() if row.id == row_id)
    return tried(row, _subjects()[index]).ok


def _notices(row: FaultRow, index: int, mutant: Mutant) -> bool:
    with mutant.alive():
        is_unsafe = not tried(row, _subjects()[index]).ok
    return is_unsafe and _passes(row.id, index)


def noticed_by(part: str) -> tuple[str, str, float]:
    """(part, the first row that notices, seconds); no row: nobody does."""
    begin = time.monotonic()
    mutant = next(each for each in mutants() if each.part == part)
    _subjects()
    rows = sorted(all_rows(), key=lambda row: part not in row.removed)
    for row in rows:
        for index in range(len(_subjects())):
            if _notices(row, index, mutant):
                return part, row.id, time.monotonic() - begin
    return part, "", time.monotonic() - begin


def main() -> int:
    """Try them; 1 when one is not noticed."""
    parts = sys.argv[1:] or [mutant.part for mutant in mutants()]
    survivors = []
    with ProcessPoolExecutor(WORKERS) as pool:
        for part, row, seconds in pool.map(noticed_by, parts):
            print(f"{part:22} {'noticed by ' + row if row else 'NOT NOTICED'} ({seconds:.1f} s)", flush=True)
            if not row:
                survivors.append(part)
    if survivors:
        print(f"Nothing on the fault list needs: {', '.join(survivors)}.", file=sys.stderr)
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
