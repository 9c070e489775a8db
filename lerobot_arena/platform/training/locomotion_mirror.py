# SPDX-License-Identifier: Apache-2.0
"""Left and right exchanged: what a robot sees and does in a mirror, so that each walk teaches two."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.platform.catalog.control_spec import ControlSpec

_PAIRS = (("left_", "right_"), ("FL_", "FR_"), ("RL_", "RR_"))
# Axes that lie in the mirror's plane turn the other way.
_TURNED = ("_roll", "_yaw", "_abduction")
_SIGNS = {
    "base_ang_vel": (-1, 1, -1), "projected_gravity": (1, -1, 1), "command": (1, -1, -1), "base_lin_vel": (1, -1, 1),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Turned:
    """A mirrored vector is `vector[:, order] * signs`."""

    order: NDArray[np.int64]
    signs: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Mirror:
    """For observations, for those with what only the simulator knows (velocity, height), and for actions."""

    seen: Turned
    known: Turned
    action: Turned


def mirror(spec: ControlSpec, *, shifted: bool) -> Mirror:
    """Return the mirror of a spec without histories; `shifted` when left limbs go half a period after right ones."""
    joints = _joints(spec)
    order: list[int] = []
    signs: list[float] = []
    for term in spec.observations:
        start = len(order)
        if term.name == "gait_phase":
            part = _turned(range(2), [-1.0 if shifted else 1.0] * 2)
        elif term.name in _SIGNS:
            part = _turned(range(3), _SIGNS[term.name])
        else:
            part = joints
        order += [start + int(index) for index in part.order]
        signs += [float(sign) for sign in part.signs]
    end = len(order)
    known = _turned([*order, *range(end, end + 4)], [*signs, *_SIGNS["base_lin_vel"], 1])
    return Mirror(_turned(order, signs), known, joints)


def _turned(order: Iterable[int], signs: Iterable[float]) -> Turned:
    return Turned(np.array([*order], np.int64), np.array([*signs], np.float32))


def _joints(spec: ControlSpec) -> Turned:
    names = spec.joint_names
    signs = [-1.0 if any(part in name for part in _TURNED) else 1.0 for name in names]
    return _turned([names.index(_other(name)) for name in names], signs)


def _other(name: str) -> str:
    for one, two in _PAIRS:
        for here, there in ((one, two), (two, one)):
            if name.startswith(here):
                return there + name.removeprefix(here)
    return name
