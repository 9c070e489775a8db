# SPDX-License-Identifier: Apache-2.0
"""Many simulated robots at once, stepped by MuJoCo's own threads, seen as a policy will see them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lerobot_arena.core.observation import FloatArray
from lerobot_arena.platform.catalog.control_spec import ControlSpec
from lerobot_arena.platform.training.locomotion_spec import period_s

Mask = NDArray[np.bool_]


def equip(path: Path, spec: ControlSpec, extra: Sequence[Path] = ()) -> Any:
    """Return the compiled, furnished model of `path`, with more files included after it."""
    import mujoco

    files = [path, *extra]
    include = {
        file.name: file.read_bytes() for folder in {f.parent for f in files} for file in folder.glob("*.xml")
    }
    text = "".join(f'<include file="{file.name}"/>' for file in files)
    meshes = f'<compiler meshdir="{path.parent / "assets"}"/>' if (path.parent / "assets").is_dir() else ""
    return furnish(mujoco.MjSpec.from_string(f"<mujoco>{text}{meshes}</mujoco>", include=include), spec)


def furnish(model_spec: Any, spec: ControlSpec) -> Any:
    """Compile an MjSpec with position actuators and a floor.

    A robot without actuators gets them: kp in the actuator, kd and armature in the joint, where MuJoCo integrates
    damping implicitly; that is the same motion as kp·(target - q) applied from outside.
    """
    import mujoco

    if not any(geom.type == mujoco.mjtGeom.mjGEOM_PLANE for geom in model_spec.worldbody.geoms):
        model_spec.worldbody.add_geom(type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 0.05])
    if not model_spec.actuators:
        for name, kp, kd in zip(spec.joint_names, spec.stiffness, spec.damping, strict=True):
            joint = model_spec.joint(name)
            joint.damping[0] = kd
            joint.armature = spec.armature or 0.0
            model_spec.add_actuator(
                name=name,
                target=name,
                trntype=mujoco.mjtTrn.mjTRN_JOINT,
                gainprm=[kp] + [0.0] * 9,
                biastype=mujoco.mjtBias.mjBIAS_AFFINE,
                biasprm=[0.0, -kp] + [0.0] * 8,
            )
    return model_spec.compile()


class Worlds:
    """`count` robots in copies of one world, or each in one of several `models` of the same shape.

    Arrays are [count, …]: `base` (x y z), `quaternion` (w x y z), `velocity` (linear in the world, angular in the
    body frame), `joints`, `joint_speeds`, in the order of the spec; `time_s`, `commands`, `last`.
    """

    def __init__(self, models: Sequence[Any], spec: ControlSpec, count: int, *, threads: int) -> None:
        import mujoco
        from mujoco import rollout

        self.spec = spec
        self.count = count
        model = models[0]
        self._models = [models[index % len(models)] for index in range(count)]
        self._data = [mujoco.MjData(model) for _ in range(threads)]
        self._rollout = rollout.Rollout(nthread=threads)
        self._kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        self._substeps = round(spec.control_dt / model.opt.timestep)
        ids = [mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT, name) for name in spec.joint_names]
        at, speed_at = model.jnt_qposadr[ids], model.jnt_dofadr[ids]
        by_joint = {int(joint): index for index, joint in enumerate(model.actuator_trnid[:, 0])}
        self._motors = np.array([by_joint[joint] for joint in ids])
        self._nu = model.nu
        self._scale, self._offset = np.array(spec.action_scale), np.array(spec.action_offset)
        self._clip = None if spec.action_clip is None else np.array(spec.action_clip)
        self._pose = np.array(spec.default_joint_pos)
        self._qpos, self._qvel = 1, 1 + model.nq
        self._joints, self._speeds = 1 + at, 1 + model.nq + speed_at
        self._home = self._home_state(model)
        self.state: FloatArray = np.repeat(self._home[None], count, axis=0)
        self.start_s = np.zeros(count)
        self.commands: FloatArray = np.zeros((count, 3))
        self.last: FloatArray = np.zeros((count, len(ids)))
        self._period_s = period_s(spec)

    def _home_state(self, model: Any) -> FloatArray:
        import mujoco

        data = self._data[0]
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, data, 0)
        state = np.zeros(mujoco.mj_stateSize(model, self._kind))
        mujoco.mj_getState(model, data, state, self._kind)
        initial = self.spec.initial
        assert initial is not None, "the specs made here say where a robot starts"
        state[self._qpos : self._qpos + 3] = initial.base_pos
        state[self._qpos + 3 : self._qpos + 7] = initial.base_quat
        state[self._joints] = self._pose
        state[self._qvel : self._qvel + model.nv] = 0
        return state

    @property
    def base(self) -> FloatArray:
        """Position of the base."""
        return self.state[:, self._qpos : self._qpos + 3]

    @property
    def quaternion(self) -> FloatArray:
        """Attitude of the base."""
        return self.state[:, self._qpos + 3 : self._qpos + 7]

    @property
    def velocity(self) -> FloatArray:
        """Linear velocity in the world, angular velocity in the body frame."""
        return self.state[:, self._qvel : self._qvel + 6]

    @property
    def joints(self) -> FloatArray:
        """Angles of the joints, less those of the default pose."""
        return self.state[:, self._joints] - self._pose

    @property
    def joint_speeds(self) -> FloatArray:
        """Speeds of the joints."""
        return self.state[:, self._speeds]

    @property
    def time_s(self) -> FloatArray:
        """What the gait's phase is reckoned from."""
        return self.state[:, 0] + self.start_s

    def reset(self, which: Mask, *, rng: np.random.Generator, noise: float = 1.0) -> None:
        """Put the robots `which` back to the start; `noise` scales how their start differs from the home pose."""
        ids = np.flatnonzero(which)
        many = len(ids)
        state = np.repeat(self._home[None], many, axis=0)
        yaw = rng.uniform(-np.pi, np.pi, many) * min(noise, 1.0)
        state[:, self._qpos + 3] = np.cos(yaw / 2)
        state[:, self._qpos + 6] = np.sin(yaw / 2)
        state[:, self._joints] += noise * rng.uniform(-0.05, 0.05, (many, len(self._joints)))
        state[:, self._qvel : self._qvel + 6] = noise * rng.uniform(-0.1, 0.1, (many, 6))
        self.state[ids] = state
        self.last[ids] = 0
        self.start_s[ids] = rng.uniform(0, self._period_s, many) * min(noise, 1.0)

    def observe(self) -> FloatArray:
        """Return the observations as float32, terms in the order of the spec."""
        terms = {
            "base_ang_vel": self.velocity[:, 3:],
            "projected_gravity": gravity(self.quaternion),
            "command": self.commands,
            "gait_phase": self._phase(),
            "joint_pos": self.joints,
            "joint_vel": self.joint_speeds,
            "actions": self.last,
        }
        return np.concatenate([terms[term.name] for term in self.spec.observations], axis=1).astype(
            np.float32
        )

    def _phase(self) -> FloatArray:
        angle = 2 * np.pi * self.time_s / self._period_s
        return np.stack([np.sin(angle), np.cos(angle)], axis=1)

    def step(self, raw: FloatArray) -> None:
        """Let one control period pass under raw actions."""
        self.last = np.array(raw, float)
        target = self.last * self._scale + self._offset
        if self._clip is not None:
            target = np.clip(target, self._clip[:, 0], self._clip[:, 1])
        control = np.zeros((self.count, self._substeps, self._nu))
        control[:, :, self._motors] = target[:, None]
        states, _ = self._rollout.rollout(
            self._models, self._data, self.state, control=control, skip_checks=False
        )
        self.state = states[:, -1].copy()

    def fell(self) -> Mask:
        """Tell which robots are too low or too tilted, or whose state is no longer finite."""
        rule = self.spec.fell
        upright = -gravity(self.quaternion)[:, 2]
        low = self.base[:, 2] < (rule.min_height or 0.0)
        tilted = upright < np.cos(np.radians(rule.max_tilt_deg or 180.0))
        return np.asarray(low | tilted | ~np.isfinite(self.state).all(axis=1), bool)

    def body_velocity(self) -> FloatArray:
        """Return the linear velocity in the frame of the base's heading and attitude."""
        return rotate_back(self.quaternion, self.velocity[:, :3])

    def close(self) -> None:
        """End MuJoCo's threads."""
        self._rollout.close()


def gravity(quaternion: FloatArray) -> FloatArray:
    """Return the world's -z in the body frame."""
    down = np.zeros((len(quaternion), 3))
    down[:, 2] = -1
    return rotate_back(quaternion, down)


def rotate_back(quaternion: FloatArray, vector: FloatArray) -> FloatArray:
    """Return world vectors in the body frame of (w x y z)."""
    w, axis = quaternion[:, :1], -quaternion[:, 1:]
    across = 2 * np.cross(axis, vector)
    return vector + w * across + np.cross(axis, across)
