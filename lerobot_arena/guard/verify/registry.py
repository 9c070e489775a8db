# SPDX-License-Identifier: Apache-2.0
"""All rows that the guard itself can be tried with, in the order of the fault list."""

from lerobot_arena.guard.verify import (
    action,
    body,
    configuration,
    control,
    hardware,
    motion,
    observation,
    processes,
    time,
)
from lerobot_arena.guard.verify.row import FaultRow

GROUPS = {
    "A": "action",
    "B": "observation",
    "C": "time",
    "D": "processes",
    "E": "configuration",
    "F": "control",
    "H": "hardware",
    "K": "body and task",
}


def in_order(rows: tuple[FaultRow, ...]) -> tuple[FaultRow, ...]:
    """By letter, then by number."""
    return tuple(sorted(rows, key=lambda row: (row.id[0], int(row.id[1:]))))


ROWS = in_order(
    (
        *action.ROWS,
        *motion.ROWS,
        *observation.ROWS,
        *time.ROWS,
        *processes.ROWS,
        *configuration.ROWS,
        *control.ROWS,
        *hardware.ROWS,
        *body.ROWS,
    )
)
