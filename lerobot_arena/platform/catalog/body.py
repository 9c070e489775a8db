# SPDX-License-Identifier: Apache-2.0
"""A robot in MuJoCo as a policy sees it: its joints by name, its base, and how targets reach the motors."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lerobot_arena.core.errors import InvalidInput, PolicyFailed, Unavailable
from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.catalog.terms import TERMS

DT_TOLERANCE = 0.01
HOME = "home"
SENSORS = {"base_lin_vel": "imu_lin_vel", "base_ang_vel": "imu_ang_vel"}
"""Of these terms, when the model has them."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where the free joint's numbers begin in qpos and in qvel."""

    qpos: int
    dof: int


def compile_model(entry: Path) -> Any:
    """The MjModel of an MJCF file. Raises InvalidInput with MuJoCo's own words, Unavailable without MuJoCo."""
    try:
        import mujoco
    except ImportError as error:
        raise Unavailable("Robots need MuJoCo: pip install 'lerobot_arena[sim]'.") from error
    try:
        return mujoco.MjModel.from_xml_path(str(entry))
    except Exception as error:  # MuJoCo raises ValueError, its own FatalError, and what its plugins like
        said = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise InvalidInput(
            f"The robot's entry XML does not compile: {said[:400] or type(error).__name__}."
        ) from error


class Body:
    """One robot and its motors. Vectors are in the order of the spec's joint_names; not for several threads."""

    def __init__(self, model: Any, spec: ControlSpec) -> None:
        import mujoco

        self._mujoco, self._model, self._spec = mujoco, model, spec
        self.data = mujoco.MjData(model)
        joints = _joints(model, spec)
        self._qpos = model.jnt_qposadr[joints]
        self._dof = model.jnt_dofadr[joints]
        self.base = _base(model)
        self._sensors = {term: _sensor(model, name) for term, name in SENSORS.items()}
        self._check_base()
        self.substeps = _substeps(model, spec)
        self._actuators = _position_actuators(model, joints, spec)
        if self._actuators is None:
            # Damping goes to the integrator, which takes it implicitly: in the applied force it would diverge.
            model.dof_damping[self._dof] = spec.damping
            if spec.armature is not None:
                model.dof_armature[self._dof] = spec.armature
        self._stiffness = np.array(spec.stiffness)
        self._default = np.array(spec.default_joint_pos)

    def reset(self) -> None:
        """To the keyframe `home`, or the first, or qpos0; then the spec's start and default pose, at rest."""
        mujoco, model, data = self._mujoco, self._model, self.data
        key = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY, HOME)
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, data, max(key, 0))
        else:
            mujoco.mj_resetData(model, data)
        if self._spec.initial is not None and self.base is not None:
            at = self.base.qpos
            data.qpos[at : at + 7] = (*self._spec.initial.base_pos, *self._spec.initial.base_quat)
        data.qpos[self._qpos] = self._default
        data.qvel[:] = 0.0
        mujoco.mj_forward(model, data)

    def drive(self, target: FloatArray) -> None:
        """One control period towards `target` in radians. Raises PolicyFailed when the simulation diverges."""
        mujoco, model, data = self._mujoco, self._model, self.data
        if self._actuators is not None:
            data.ctrl[self._actuators] = target
        for _ in range(self.substeps):
            if self._actuators is None:
                data.qfrc_applied[self._dof] = self._stiffness * (target - data.qpos[self._qpos])
            mujoco.mj_step(model, data)
        # MuJoCo resets what diverged and goes on; only its warnings tell.
        kinds = (
            mujoco.mjtWarning.mjWARN_BADQPOS,
            mujoco.mjtWarning.mjWARN_BADQVEL,
            mujoco.mjtWarning.mjWARN_BADQACC,
        )
        if any(data.warning[kind].number for kind in kinds) or not np.isfinite(data.qpos).all():
            raise PolicyFailed("The simulation diverges: its positions or velocities are no longer finite.")

    def base_lin_vel(self) -> FloatArray:
        """m/s, in the base's frame."""
        return self._measured(
            "base_lin_vel", lambda base: self._rotation().T @ self.data.qvel[base.dof : base.dof + 3]
        )

    def base_ang_vel(self) -> FloatArray:
        """rad/s, in the base's frame."""
        return self._measured("base_ang_vel", lambda base: self.data.qvel[base.dof + 3 : base.dof + 6].copy())

    def projected_gravity(self) -> FloatArray:
        """The world's −z in the base's frame."""
        return -self._rotation()[2]

    def joint_pos(self) -> FloatArray:
        """Radians from the default pose."""
        return np.asarray(self.data.qpos[self._qpos] - self._default)

    def joint_vel(self) -> FloatArray:
        """rad/s."""
        return np.asarray(self.data.qvel[self._dof])

    def base_pose(self) -> tuple[FloatArray, FloatArray]:
        """Position and quaternion w, x, y, z; of a robot without a base the origin, upright."""
        if self.base is None:
            return np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0])
        at = self.base.qpos
        return self.data.qpos[at : at + 3].copy(), self.data.qpos[at + 3 : at + 7].copy()

    def _check_base(self) -> None:
        """A sensor stands in for what the free joint would tell."""
        names = (term.name for term in self._spec.observations)
        needing = [name for name in names if TERMS[name].needs_base and not self._sensors.get(name)]
        if self.base is None and (needing or self._spec.initial is not None):
            asks = f"observes {needing[0]}" if needing else "says where to start"
            raise InvalidInput(f"The policy {asks}, but the robot has no free joint.")

    def _measured(self, term: str, otherwise: Any) -> FloatArray:
        where = self._sensors[term]
        if where is not None:
            return np.asarray(self.data.sensordata[where].copy())
        assert self.base is not None, "checked against the spec at the start"
        return np.asarray(otherwise(self.base))

    def _rotation(self) -> FloatArray:
        """Columns are the base's axes in the world."""
        matrix = np.empty(9)
        self._mujoco.mju_quat2Mat(matrix, self.base_pose()[1])
        return matrix.reshape(3, 3)


def joint_names(model: Any) -> list[str]:
    """The hinges and slides, in the model's order."""
    import mujoco

    kinds = {int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)}
    return [model.joint(index).name for index in range(model.njnt) if int(model.jnt_type[index]) in kinds]


def _joints(model: Any, spec: ControlSpec) -> np.ndarray:
    known = joint_names(model)
    absent = [name for name in spec.joint_names if name not in known]
    if absent:
        more = f" and {len(absent) - 8} more" if len(absent) > 8 else ""
        raise InvalidInput(
            f"The robot has no hinge or slide called {', '.join(absent[:8])}{more}; "
            f"it has {', '.join(known)[:400] or 'none'}."
        )
    return np.array([model.joint(name).id for name in spec.joint_names])


def _base(model: Any) -> Base | None:
    import mujoco

    for index in range(model.njnt):
        if int(model.jnt_type[index]) == int(mujoco.mjtJoint.mjJNT_FREE):
            return Base(int(model.jnt_qposadr[index]), int(model.jnt_dofadr[index]))
    return None


def _substeps(model: Any, spec: ControlSpec) -> int:
    timestep = float(model.opt.timestep)
    steps = round(spec.control_dt / timestep) if timestep > 0 else 0
    if steps < 1 or abs(steps * timestep - spec.control_dt) > DT_TOLERANCE * spec.control_dt:
        raise InvalidInput(
            f"control_dt {spec.control_dt:g} s is no multiple of the robot's timestep {timestep:g} s (option timestep)."
        )
    return steps


def _position_actuators(model: Any, joints: np.ndarray, spec: ControlSpec) -> np.ndarray | None:
    """The actuator that servos each joint, or None when no joint has one. Raises InvalidInput for a mixture."""
    import mujoco

    found: dict[int, int] = {}
    for index in range(model.nu):
        joint = int(model.actuator_trnid[index, 0])
        is_servo = (
            int(model.actuator_trntype[index]) == int(mujoco.mjtTrn.mjTRN_JOINT)
            and int(model.actuator_biastype[index]) == int(mujoco.mjtBias.mjBIAS_AFFINE)
            and model.actuator_biasprm[index, 1] != 0.0
        )
        if is_servo and found.setdefault(joint, index) != index:
            raise InvalidInput(f"The robot's joint {model.joint(joint).name} has two position actuators.")
    without = [name for name, joint in zip(spec.joint_names, joints, strict=True) if int(joint) not in found]
    if len(without) == len(joints):
        return None
    if without:
        raise InvalidInput(
            f"Give every joint of the policy a position actuator, or none: {', '.join(without)[:300]} "
            "have none, the others do."
        )
    return np.array([found[int(joint)] for joint in joints])


def _sensor(model: Any, name: str) -> slice | None:
    import mujoco

    index = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR, name)
    if index < 0:
        return None
    if model.sensor_dim[index] != 3:
        raise InvalidInput(f"The robot's sensor {name} has {model.sensor_dim[index]} numbers, not 3.")
    return slice(int(model.sensor_adr[index]), int(model.sensor_adr[index]) + 3)
