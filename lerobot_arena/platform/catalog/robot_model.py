# SPDX-License-Identifier: Apache-2.0
"""What a compiled robot has, told to whoever publishes it."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lerobot_arena.core.errors import InvalidInput
from lerobot_arena.platform.catalog.body import compile_model, joint_names
from lerobot_arena.platform.catalog.limits import ModelLimits


@dataclass(frozen=True, slots=True)
class RobotFacts:
    """One compiled MJCF; `joints` are its hinges and slides, `timestep` in seconds, `mass` in kg."""

    entry: str
    joints: tuple[str, ...]
    has_free_joint: bool
    timestep: float
    degrees_of_freedom: int
    actuators: int
    bodies: int
    geoms: int
    mesh_triangles: int
    keyframes: tuple[str, ...]
    mass: float

    def to_json(self) -> dict[str, Any]:
        """For the answer of a child process, and for manifests."""
        return asdict(self)


def compiled(folder: Path, entry: str, limits: ModelLimits) -> RobotFacts:
    """Compile the entry XML. Raises InvalidInput when MuJoCo refuses it, or it is larger than a robot is."""
    model = compile_model(folder / entry)
    facts = RobotFacts(
        entry,
        tuple(joint_names(model)),
        _has_free_joint(model),
        float(model.opt.timestep),
        int(model.nv),
        int(model.nu),
        int(model.nbody),
        int(model.ngeom),
        int(model.nmeshface),
        tuple(model.key(index).name for index in range(model.nkey)),
        float(sum(model.body_mass)),
    )
    _check(facts, limits)
    return facts


def _check(facts: RobotFacts, limits: ModelLimits) -> None:
    for what, has, most in (
        ("degrees of freedom", facts.degrees_of_freedom, limits.degrees_of_freedom),
        ("bodies", facts.bodies, limits.bodies),
        ("geoms", facts.geoms, limits.geoms),
        ("triangles", facts.mesh_triangles, limits.mesh_triangles),
    ):
        if has > most:
            raise InvalidInput(f"The robot has {has} {what}; {most} is the limit.")
    if not facts.joints:
        raise InvalidInput("The robot has no hinge or slide joint, so no policy can move it.")


def _has_free_joint(model: Any) -> bool:
    import mujoco

    return any(int(kind) == int(mujoco.mjtJoint.mjJNT_FREE) for kind in model.jnt_type)
