# SPDX-License-Identifier: Apache-2.0
"""Which policies are made, and how: robot, gait, how the gait's numbers become joint motion, and who tunes it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training import locomotion_g1
from lerobot_arena.platform.training.locomotion_gait import Gait, Wire
from lerobot_arena.platform.training.locomotion_ppo import PpoRules
from lerobot_arena.platform.training.locomotion_spec import LEGS, g1_spec, pony_spec
from lerobot_arena.platform.training.locomotion_task import Rewards, TaskRules
from lerobot_arena.platform.training.locomotion_worlds import equip

MODELS = Path(__file__).parents[2] / "models" / "locomotion"
PONY = MODELS / "pony" / "bundle" / "flat.xml"
PARKOUR = MODELS / "parkour" / "parkour.xml"
G1_WORLD = MODELS / "g1-walk" / "world.xml"
# Of a leg: both links 0.18 m, at the default pose 0.8 rad before and behind the vertical.
_LINK_M, _BEND_RAD = 0.18, 0.8
REACH_M_PER_RAD = 2 * _LINK_M * math.cos(_BEND_RAD)
LIFT_M_PER_RAD = _LINK_M * math.sin(_BEND_RAD)
# Hips from the middle of the trunk, and a foot under its hip.
HIP_X_M, HIP_Y_M, LEG_M = 0.15, 0.12, 0.25
# Per leg, in the order of LEGS: before or behind the middle, left or right of it.
_PLACES = ((1, 1), (1, -1), (-1, 1), (-1, -1))


@dataclass(frozen=True, slots=True)
class Number:
    """One number of a gait: where it starts, and how far a search looks at first."""

    start: float
    spread: float


PONY_NUMBERS: Mapping[str, Number] = {
    "lift_front_m": Number(0.06, 0.008),
    "lift_rear_m": Number(0.06, 0.008),
    "stride": Number(1.0, 0.1),
    "turn": Number(1.0, 0.2),
    "tread": Number(0.0, 0.03),
    "pitch": Number(0.0, 0.06),
    "pitch_rate": Number(0.0, 0.01),
    "roll": Number(0.0, 0.1),
    "roll_rate": Number(0.0, 0.02),
    "front_bias": Number(0.0, 0.04),
    "rear_bias": Number(0.0, 0.04),
}


G1_NUMBERS: Mapping[str, Number] = {
    "lift_m": Number(0.07, 0.0),
    "stride": Number(0.8, 0.0),
    # 0.08 rad, 0.9 rad ahead of the steps.
    "sway_sin": Number(0.08 * math.cos(0.9), 0.0),
    "sway_cos": Number(0.08 * math.sin(0.9), 0.0),
    "crouch": Number(0.12, 0.0),
    "lean": Number(0.03, 0.0),
    "pitch": Number(0.6, 0.0),
    "pitch_rate": Number(0.15, 0.0),
    "roll": Number(0.5, 0.0),
    "roll_rate": Number(0.15, 0.0),
}


def pony_wires(gait: Gait, period: float, numbers: Mapping[str, float]) -> list[Wire]:
    """Return the wires of a pony's gait in radians, by the geometry of its legs.

    Feet go half a stride before and behind their hips: speed · stance / 2; `stride` and `turn` scale that. `tread`
    is a reach without any command, the biases lean the legs while walking, the rest feeds back attitude.
    """
    half_s = period * (1 - gait.duty) / 2
    wires = []
    for limb, (leg, (fore, side)) in enumerate(zip(LEGS, _PLACES, strict=True)):
        front = fore > 0
        bend = numbers["lift_front_m" if front else "lift_rear_m"] / LIFT_M_PER_RAD
        step, turn = half_s * numbers["stride"], half_s * numbers["turn"]
        parts = [
            (f"lift{limb}", "calf", -bend),
            (f"lift{limb}", "thigh", bend / 2),
            (f"reach{limb}_vx", "thigh", -step / REACH_M_PER_RAD),
            (f"reach{limb}_wz", "thigh", turn * HIP_Y_M * side / REACH_M_PER_RAD),
            (f"reach{limb}_vy", "abduction", step / LEG_M),
            (f"reach{limb}_wz", "abduction", turn * HIP_X_M * fore / LEG_M),
            (f"reach{limb}_act", "thigh", -numbers["tread"]),
            ("act", "thigh", numbers["front_bias" if front else "rear_bias"]),
            ("gravity_x", "thigh", numbers["pitch"]),
            ("gyro_y", "thigh", numbers["pitch_rate"]),
            ("gravity_y", "abduction", numbers["roll"]),
            ("gyro_x", "abduction", numbers["roll_rate"]),
        ]
        wires += [Wire(feature, f"{leg}_{joint}", radians) for feature, joint, radians in parts]
    return wires


# Entry, spec, further files → the model that is trained on, and the part of the spec that is learnt.
Build = Callable[[Path, ControlSpec, Sequence[Path]], tuple[Any, ControlSpec]]


def as_it_is(entry: Path, spec: ControlSpec, extra: Sequence[Path]) -> tuple[Any, ControlSpec]:
    """Train on what will be walked on."""
    return equip(entry, spec, extra), spec


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one policy is made. With `ppo` a network is learnt beside the gait, else the gait's numbers are searched.

    A recipe without `entry` is for a robot that is not shipped. `course` is included after the entry; `copies` are the
    variants of the model that are learnt on.
    """

    title: str
    entry: Path | None
    course: Path
    gait: Gait
    period: float
    spec: Callable[[float], ControlSpec]
    numbers: Mapping[str, Number]
    wires: Callable[[Gait, float, Mapping[str, float]], list[Wire]]
    robots: int
    ppo: PpoRules | None = None
    task: TaskRules = field(default_factory=TaskRules)
    generations: int = 0
    search_s: float = 6.0
    crowd: int = 16
    build: Build = as_it_is
    copies: int = 8
    mirrored: bool = False


RECIPES: Mapping[str, Recipe] = {
    "pony-trot": Recipe(
        title="Pony, trot",
        entry=PONY,
        course=PARKOUR,
        gait=Gait((0.0, 0.5, 0.5, 0.0), 0.5),
        period=0.48,
        spec=pony_spec,
        numbers=PONY_NUMBERS,
        wires=pony_wires,
        robots=512,
        ppo=PpoRules(updates=301, threads=1),
    ),
    "pony-bound": Recipe(
        title="Pony, bound",
        entry=PONY,
        course=PARKOUR,
        gait=Gait((0.0, 0.0, 0.5, 0.5), 0.4),
        period=0.5,
        spec=pony_spec,
        numbers={**PONY_NUMBERS, "turn": Number(1.5, 0.2)},
        wires=pony_wires,
        robots=16,
        generations=25,
    ),
    "g1-walk": Recipe(
        title="Unitree G1, walk",
        entry=None,
        course=G1_WORLD,
        gait=Gait((0.0, 0.5), 0.45),
        period=0.8,
        spec=g1_spec,
        numbers=G1_NUMBERS,
        wires=locomotion_g1.g1_wires,
        robots=320,
        ppo=PpoRules(
            updates=180, threads=1, hidden=(128, 128), std=0.3, steps=32, epochs=5, kl=0.02, entropy=0.0005
        ),
        task=TaskRules(
            rewards=Rewards(
                follow=2.0, follow_width=0.06, turn=0.6, turn_width=0.1, alive=1.0, bounce=0.5, tilt=2.0,
                change=0.01, effort=0.0002, pose=0.1, stand=0.3, fall=10.0, along=2.0,
            ),
            push_m_s=0.2,
        ),
        build=locomotion_g1.build,
        copies=6,
        mirrored=True,
    ),
}  # fmt: skip


def recipe(name: str, robot: Path | None = None) -> Recipe:
    """Return a recipe by name, for the entry XML `robot` if that is not shipped. Raises InvalidInput."""
    if name not in RECIPES:
        raise InvalidInput(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    chosen = RECIPES[name]
    if chosen.entry is None and robot is None:
        raise InvalidInput(f"The robot of {name} is not shipped: name its MJCF with --robot.")
    return chosen if chosen.entry is not None else replace(chosen, entry=robot)
