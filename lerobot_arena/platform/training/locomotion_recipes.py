# SPDX-License-Identifier: Apache-2.0
"""Which policies are made, and how: robot, gait, how the gait's numbers become joint motion, and who tunes it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_gait import Gait, Wire
from lerobot_arena.platform.training.locomotion_ppo import PpoRules
from lerobot_arena.platform.training.locomotion_spec import LEGS, pony_spec
from lerobot_arena.platform.training.locomotion_task import TaskRules

MODELS = Path(__file__).parents[2] / "models" / "locomotion"
PONY = MODELS / "pony" / "bundle" / "flat.xml"
PARKOUR = MODELS / "parkour" / "parkour.xml"
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


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one policy is made. With `ppo` a network is learnt beside the gait, else the gait's numbers are searched."""

    title: str
    entry: Path
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
}


def recipe(name: str) -> Recipe:
    """Return a recipe by name. Raises InvalidInput with the names there are."""
    if name not in RECIPES:
        raise InvalidInput(f"There is no recipe {name!r}; there are {', '.join(RECIPES)}.")
    return RECIPES[name]
