# SPDX-License-Identifier: Apache-2.0
"""A rhythm as a linear map of features: what a searched policy consists of, and what a trained one starts from.

Every limb of a gait has a phase. In its swing (`duty` of the period) it lifts and goes from back to front, in its
stance back again at constant speed. Features, in this order, for K limbs:

====================== ====  ==========================================================
`lift`                  K    how far it is lifted, 0..1, times `act`
`reach`                 4·K  how far in front it is, -1..1, times vx, vy, wz, act
`sway`                  8    sin and cos of the phase, times act, vx, vy, wz
`gravity`, `gyro`       6    projected gravity without its z, angular velocity; act once more with gravity's x
`command`               3    vx, vy, wz
`act`, `one`            2    0 standing … 1 walking, and 1
====================== ====  ==========================================================
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_spec import offsets

# |vx|, |vy|, |wz| → act, before it is cut at 1: a tenth of a metre per second is a wish to walk.
WISH = (10.0, 10.0, 5.0)


@dataclass(frozen=True, slots=True)
class Gait:
    """`phases` of the limbs as shares of the period, and the `duty` of a swing, both in 0..1."""

    phases: tuple[float, ...]
    duty: float

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, in order."""
        limbs = range(len(self.phases))
        return (
            *(f"lift{limb}" for limb in limbs),
            *(f"reach{limb}_{of}" for of in ("vx", "vy", "wz", "act") for limb in limbs),
            *(f"{wave}_{of}" for of in ("act", "vx", "vy", "wz") for wave in ("sin", "cos")),
            *("gravity_x", "gravity_y", "gravity_act", "gyro_x", "gyro_y", "gyro_z"),
            *("vx", "vy", "wz", "act", "one"),
        )

    def features(self, spec: ControlSpec, obs: FloatArray) -> FloatArray:
        """Return the features of observations [N, …] as [N, features]."""
        where = offsets(spec)
        wave, command = obs[:, where["gait_phase"]], obs[:, where["command"]]
        gravity, gyro = obs[:, where["projected_gravity"]], obs[:, where["base_ang_vel"]]
        act = np.clip(np.abs(command) @ np.array(WISH, obs.dtype)[:, None], 0, 1)
        turns = np.arctan2(wave[:, :1], wave[:, 1:]) / (2 * np.pi) + np.array(self.phases, obs.dtype)
        turns -= np.floor(turns)
        swing = np.clip(turns / self.duty, 0, 1)
        stance = np.clip((turns - self.duty) / (1 - self.duty), 0, 1)
        lift, reach = np.sin(np.pi * swing), -np.cos(np.pi * swing) - 2 * stance
        drives = [command[:, :1], command[:, 1:2], command[:, 2:], act]
        return np.concatenate(
            [
                lift * act,
                *(reach * drive for drive in drives),
                *(wave * drive for drive in (act, *drives[:3])),
                *(gravity[:, :2], gravity[:, :1] * act, gyro, command, act, np.ones_like(act)),
            ],
            axis=1,
        )


@dataclass(frozen=True, slots=True)
class Wire:
    """One entry of the map: feature → joint, by its names, times a factor."""

    feature: str
    joint: str
    factor: float


def weave(gait: Gait, joints: Sequence[str], wires: Sequence[Wire]) -> FloatArray:
    """Return the map [features, joints] of the wires; several on one entry add up."""
    weights = np.zeros((len(gait.names), len(joints)))
    for wire in wires:
        weights[gait.names.index(wire.feature), joints.index(wire.joint)] += wire.factor
    return weights
