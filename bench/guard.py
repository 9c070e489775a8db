# SPDX-License-Identifier: Apache-2.0
"""What the guard's core checks cost per cycle, at 6 and 14 joints: `python bench/guard.py [--json]`.

The floor beside them is one numpy clip of the same vectors: what the cheapest limiter imaginable would take.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from report import percentiles_ms, show

from lerobot_arena.guard.chain import build_chain
from lerobot_arena.guard.checks.protocol import CheckInput, JointLimits

CYCLES = 5000
PERIOD_S = 0.02


def cycle(joints: int, step: float) -> CheckInput:
    """One cycle in which every joint wants to move by `step` rad."""
    names = tuple(f"joint_{index}" for index in range(joints))
    here = (0.1,) * joints
    return CheckInput(
        joint_names=names,
        unit="radians",
        limits=JointLimits((-2.0,) * joints, (2.0,) * joints, (3.0,) * joints, (30.0,) * joints),
        dt_s=PERIOD_S,
        measured=here,
        joint_age_s=0.01,
        previous_command=here,
        previous_velocity=(step / PERIOD_S * 0.9,) * joints,
        proposed=(0.1 + step,) * joints,
        proposed_names=names,
        action_age_s=0.1,
    )


def timed(work: Callable[[], Any]) -> dict[str, float]:
    """Percentiles of CYCLES calls."""
    for _ in range(200):
        work()
    seconds = []
    for _ in range(CYCLES):
        begin = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begin)
    return percentiles_ms(seconds)


def main() -> None:
    """Measure and print."""
    rows = []
    for joints in (6, 14):
        vector = np.full(joints, 0.11)
        rows.append(
            {
                "what": "floor: one numpy clip",
                "joints": joints,
                **timed(lambda v=vector: np.clip(v, -2.0, 2.0)),
            }
        )
        for what, step in (("core checks, PASS", 0.02), ("core checks, CLAMP", 0.5)):
            given = replace(
                cycle(joints, step), previous_velocity=(min(step / PERIOD_S, 2.0) * 0.9,) * joints
            )
            chain = build_chain({})
            rows.append({"what": what, "joints": joints, **timed(lambda c=chain, g=given: c.evaluate(g))})
    show(
        f"Guard checks, {CYCLES} cycles each",
        rows,
        ["Goal: p50 below 0.2 ms. CLAMP includes checking the output again."],
    )


if __name__ == "__main__":
    main()
