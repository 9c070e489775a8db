# SPDX-License-Identifier: Apache-2.0
"""Demonstrations by several processes: an OpenGL context and a physics world each."""

import multiprocessing
from collections.abc import Iterator
from functools import cache

from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.platform.training.demonstration import Demonstration, Studio

# Far from the seeds that the demo and the evaluation draw from, so that those stay unseen.
FIRST_SEED = 10_000_000

_robot: list[RobotSpec] = []


def _ask(robot: RobotSpec) -> None:
    # Opened by the first seed: what fails while a pool's process starts is tried again for ever.
    _robot[:] = [robot]


@cache
def _studio() -> Studio:
    return Studio(_robot[0])


def _record(seed: int) -> Demonstration | None:
    return _studio().record(seed)


def collect(robot_name: str, episodes: int, *, seed: int, workers: int) -> Iterator[Demonstration]:
    """Yield `episodes` successful demonstrations, in the order of their seeds whatever finishes first.

    The same arguments yield the same episodes, whatever `workers` is.
    """
    robot = load_robot(robot_name)
    seeds = iter(range(FIRST_SEED + seed * 100_000, FIRST_SEED + (seed + 1) * 100_000))
    context = multiprocessing.get_context("spawn")
    found = 0
    with context.Pool(workers, _ask, (robot,)) as pool:
        # imap would run through all the seeds at once: take as many as are still missing, again and again.
        while found < episodes:
            batch = [next(seeds) for _ in range(min(episodes - found, 16 * workers))]
            for demonstration in pool.imap(_record, batch):
                if demonstration is not None:
                    found += 1
                    yield demonstration
