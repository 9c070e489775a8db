# SPDX-License-Identifier: Apache-2.0
"""How well a policy walks, in the same runner that serves it: distances, turns, falls, drift, and the course."""

import math
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.runner import Runner

# How a start is disturbed: joints ±rad, base ±m/s and ±rad/s, and the height that clears the floor then.
JOINTS_RAD, SPEED_M_S, SPIN_RAD_S, LIFT_M = 0.1, 0.3, 0.5, 0.01


@dataclass(frozen=True, slots=True)
class Walk:
    """Ten seconds or so under one command: metres along the first heading and to its left, radians turned."""

    ahead_m: float
    left_m: float
    turned_rad: float
    fell: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What the manifest says of a policy: a walk per key, falls from disturbed starts, the course for twice as long."""

    walks: Mapping[str, Walk]
    seconds: float
    starts: int
    falls_walking: int
    falls_standing: int
    course: Walk | None = None

    def to_json(self) -> dict[str, Any]:
        """Rounded to a millimetre."""
        return {key: _rounded(value) for key, value in asdict(self).items() if value is not None}


def measure(
    entry: Path,
    model: Path,
    spec: ControlSpec,
    *,
    seconds: float = 10.0,
    starts: int = 20,
    course: Path | None = None,
) -> Figures:
    """Let the policy walk as each key asks, and from `starts` disturbed starts; `course` is a scene's MJCF."""
    runner = Runner(entry, model, spec)
    vx, wz = spec.commands["lin_vel_x"], spec.commands["ang_vel_z"]
    keys = {
        "forward": (vx[1], 0.0), "backward": (vx[0], 0.0), "left": (0.0, wz[1]), "right": (0.0, wz[0]),
        "stand": (0.0, 0.0),
    }  # fmt: skip
    walks = {}
    for name, (speed, turn) in keys.items():
        runner.reset()
        walks[name] = walk(runner, seconds, speed, turn)
    on_course = None
    if course is not None:
        with composed(entry, course) as whole:
            on_course = walk(Runner(whole, model, spec), 2 * seconds, vx[1], 0.0)
    return Figures(
        walks=walks,
        seconds=seconds,
        starts=starts,
        falls_walking=sum(disturbed(runner, seed, seconds, vx[1]).fell for seed in range(starts)),
        falls_standing=sum(disturbed(runner, seed, seconds, 0.0).fell for seed in range(starts)),
        course=on_course,
    )


def walk(runner: Runner, seconds: float, speed: float, turn: float) -> Walk:
    """Go on from where the runner is, until the time is up or the robot has fallen."""
    runner.command(speed, 0.0, turn)
    start = runner.state()
    heading = yaw(start.base_quat)
    turned, before, state = 0.0, heading, start
    for _ in range(round(seconds / runner.spec.control_dt)):
        state = runner.step()
        now = yaw(state.base_quat)
        turned += math.remainder(now - before, 2 * math.pi)
        before = now
        if state.fell:
            break
    dx, dy = state.base_pos[0] - start.base_pos[0], state.base_pos[1] - start.base_pos[1]
    ahead = math.cos(heading) * dx + math.sin(heading) * dy
    left = math.cos(heading) * dy - math.sin(heading) * dx
    return Walk(ahead, left, turned, state.fell)


def disturbed(runner: Runner, seed: int, seconds: float, speed: float) -> Walk:
    """Reset, disturb the start as `seed` says, then walk."""
    runner.reset()
    rng = np.random.default_rng(seed)
    data, base, count = runner.body.data, runner.body.base, len(runner.spec.joint_names)
    assert base is not None, "what walks has a free joint"
    angle = rng.uniform(-np.pi, np.pi)
    data.qpos[base.qpos + 2] += LIFT_M
    data.qpos[base.qpos + 3 : base.qpos + 7] = math.cos(angle / 2), 0, 0, math.sin(angle / 2)
    data.qpos[base.qpos + 7 : base.qpos + 7 + count] += rng.uniform(-JOINTS_RAD, JOINTS_RAD, count)
    data.qvel[base.dof : base.dof + 3] = rng.uniform(-SPEED_M_S, SPEED_M_S, 3) * (1, 1, 0)
    data.qvel[base.dof + 3 : base.dof + 6] = rng.uniform(-SPIN_RAD_S, SPIN_RAD_S, 3)
    return walk(runner, seconds, speed, 0.0)


@contextmanager
def composed(entry: Path, course: Path) -> Iterator[Path]:
    """Give an entry XML with a scene's geoms in the robot's world, in a copy of the robot's folder."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "robot"
        shutil.copytree(entry.parent, copy)
        shutil.copy(course, copy / f"_{course.name}")
        whole = copy / "_composed.xml"
        whole.write_text(including([entry.name, f"_{course.name}"]))
        yield whole


def including(names: Sequence[str]) -> str:
    """Return an MJCF that is all of the named ones in one world."""
    return "<mujoco>" + "".join(f'<include file="{name}"/>' for name in names) + "</mujoco>\n"


def yaw(quaternion: Sequence[float]) -> float:
    """Return the heading of (w x y z) in radians."""
    w, x, y, z = quaternion
    return math.atan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return round(value, 3) if isinstance(value, float) else value
