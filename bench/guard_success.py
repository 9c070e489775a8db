# SPDX-License-Identifier: Apache-2.0
"""What guarding costs a good policy: its success with the shipped boundaries beside limits wide open, on equal seeds.

The guard is the real one, from the chunk queue to the command; time is simulated, so that 200 episodes take minutes.
A run that the guard stopped although nothing was wrong is a false stop; its rate has a 95 % interval (Poisson, exact).
"""

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import inf
from pathlib import Path
from typing import Annotated, Any

import typer
from report import show

import lerobot_arena
from lerobot_arena.core.hardware import HostHealth
from lerobot_arena.core.robot import RobotSpec, load_robot
from lerobot_arena.core.session import RUNNING
from lerobot_arena.embodiment.simulation.task import PickPlaceTask, TaskRules
from lerobot_arena.guard.knowledge import ArmModel
from lerobot_arena.guard.robot_model import geometry_of
from lerobot_arena.guard.shipped import shipped_config
from lerobot_arena.guard.verify.world import GuardWorld
from lerobot_arena.platform.training.demo import FIRST_UNSEEN_SEED, ROBOT
from lerobot_arena.platform.training.evaluate import FPS, Loop, LoopRules, PolicyDriver, Success

MODEL = Path(lerobot_arena.__file__).parent / "models/demo"
GUARDS = ("shipped boundaries", "limits wide open")
_LOOP = LoopRules()


@dataclass(frozen=True, slots=True)
class Episode:
    """One episode's end; times in s of simulated running."""

    is_success: bool
    stop: str
    running_s: float
    clamped: int
    held: int
    cycles: int


def wide_open(robot: RobotSpec) -> RobotSpec:
    """The same arm with limits that nothing reaches."""
    joints = tuple(
        replace(
            joint,
            lower_rad=joint.lower_rad - 10.0,
            upper_rad=joint.upper_rad + 10.0,
            max_velocity_rad_s=1e3,
            max_acceleration_rad_s2=1e6,
        )
        for joint in robot.joints
    )
    return replace(robot, joints=joints)


@cache
def _parts() -> tuple[RobotSpec, Loop, PolicyDriver, ArmModel]:
    robot = load_robot(ROBOT)
    return robot, Loop(robot), PolicyDriver(MODEL, robot), ArmModel(geometry_of(robot))


def run(asked: tuple[str, int]) -> Episode:
    """One episode of one seed under one guard."""
    guard, seed = asked
    robot, loop, driver, model = _parts()
    scene = loop.scene
    scene.reset(seed)

    def policy(_: Sequence[float]) -> Any:
        return driver.chunk(scene, loop._look)

    shipped = guard == GUARDS[0]
    world = GuardWorld(
        policy=policy,
        measured=scene.joint_positions().tolist(),
        robot=robot if shipped else wide_open(robot),
        config=shipped_config() if shipped else None,
        model=model if shipped else None,
        host=HostHealth(10.0, 20.0, 40.0, 10**11),
    )
    world.latency_s, world.chunk_dt_s, world.execute_steps = _LOOP.delay_s, 1 / FPS, 15
    world.is_following = False
    referee = PickPlaceTask(TaskRules(time_limit_s=_LOOP.time_limit_s))
    assert (answer := world.arm.start()).success, answer.message
    tick_s, begun_s = world.arm.period_s, scene.time_s
    while not (status := referee.update(scene.objects(), scene.time_s)).is_over and world.state == RUNNING:
        sent = len(world.commands)
        world.step()
        is_new = len(world.commands) > sent
        scene.step(world.commands[-1].positions if is_new else scene.targets(), tick_s)
        world.measured = scene.joint_positions().tolist()
    state = world.arm.state()
    return Episode(
        status.is_success,
        "" if state.state == RUNNING else state.message,
        scene.time_s - begun_s,
        state.decisions[1],
        state.holds,
        state.cycle_count,
    )


def rate_interval(count: int, exposure_h: float) -> tuple[float, float]:
    """Garwood's exact 95 % interval of a Poisson rate per hour."""
    from scipy.stats import chi2

    low = chi2.ppf(0.025, 2 * count) / 2 if count else 0.0
    return low / exposure_h, chi2.ppf(0.975, 2 * count + 2) / 2 / exposure_h


def main(
    episodes: Annotated[int, typer.Option(help="Unseen seeds per guard; a few seconds each.")] = 200,
    json_: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Measure what the guard costs the demo policy."""
    rows, notes = [], []
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        for guard in GUARDS:
            seeds = range(FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + episodes)
            done = pool.map(run, [(guard, seed) for seed in seeds], chunksize=5)
            success = Success(sum(e.is_success for e in done), len(done))
            hours = sum(e.running_s for e in done) / 3600.0
            stops = [e.stop for e in done if e.stop]
            low, high = rate_interval(len(stops), hours) if hours else (0.0, inf)
            cycles = max(1, sum(e.cycles for e in done))
            rows.append(
                {
                    "guard": guard,
                    "success": f"{success.successes}/{success.episodes}",
                    "low_95": success.interval[0],
                    "high_95": success.interval[1],
                    "clamped_share": sum(e.clamped for e in done) / cycles,
                    "held_share": sum(e.held for e in done) / cycles,
                    "stops": len(stops),
                    "stops_per_h_low_95": low,
                    "stops_per_h_high_95": high,
                    "hours": hours,
                }
            )
            notes += [f"{guard}: {text}" for text in sorted(set(stops))[:5]]
    show("Success with and without the guard, unseen seeds", rows, notes)


if __name__ == "__main__":
    typer.run(main)
