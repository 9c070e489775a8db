// SPDX-License-Identifier: Apache-2.0
// A compiled model as a policy sees it: where its joints, its base and its sensors are, and how its joints are driven.

import type { MjModel, MujocoModule } from './engine';
import type { ControlSpec } from './spec';

const FREE = 0;
const HINGE = 3;
const SLIDE = 2;
const AFFINE_BIAS = 1;
const ON_JOINT = 0;
const DT_TOLERANCE = 0.01;

/** Addresses in qpos, qvel, ctrl and sensordata. */
export interface Robot {
  /** Of each joint of the policy. */
  qposAt: readonly number[];
  dofAt: readonly number[];
  /** Position actuator of each joint, or null: then the runner itself is the spring, and the model the damper. */
  actuators: readonly number[] | null;
  /** The free joint. */
  base: { readonly qposAt: number; readonly dofAt: number } | null;
  linearVelocitySensorAt: number | null;
  angularVelocitySensorAt: number | null;
  /** Keyframe a reset starts from. */
  keyframe: number | null;
  /** Steps of the simulation in one control period. */
  substeps: number;
}

/** Find what `spec` names. Throws an Error with what the model lacks. */
export function findRobot(mujoco: MujocoModule, model: MjModel, spec: ControlSpec): Robot {
  const joints = spec.jointNames.map((name) => findJoint(mujoco, model, name));
  const free = Array.from(model.jnt_type as Int32Array).indexOf(FREE);
  return {
    qposAt: joints.map((joint) => model.jnt_qposadr[joint]),
    dofAt: joints.map((joint) => model.jnt_dofadr[joint]),
    actuators: findActuators(model, joints),
    base: free < 0 ? null : { qposAt: model.jnt_qposadr[free], dofAt: model.jnt_dofadr[free] },
    linearVelocitySensorAt: findSensor(mujoco, model, 'imu_lin_vel'),
    angularVelocitySensorAt: findSensor(mujoco, model, 'imu_ang_vel'),
    keyframe: findKeyframe(mujoco, model),
    substeps: countSubsteps(model.opt.timestep, spec.controlDtS),
  };
}

function countSubsteps(timestepS: number, controlDtS: number): number {
  const steps = Math.round(controlDtS / timestepS);
  if (steps < 1 || Math.abs(steps * timestepS - controlDtS) > DT_TOLERANCE * controlDtS) {
    throw new Error(`The control period of ${controlDtS} s is no multiple of the robot's time step of ${timestepS} s.`);
  }
  return steps;
}

function findJoint(mujoco: MujocoModule, model: MjModel, name: string): number {
  const id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_JOINT.value, name);
  if (id < 0) throw new Error(`The policy drives a joint ${name}, and the robot has none of that name.`);
  if (![HINGE, SLIDE].includes(model.jnt_type[id])) throw new Error(`The joint ${name} is neither a hinge nor a slide.`);
  return id;
}

function findActuators(model: MjModel, joints: readonly number[]): number[] | null {
  const drives = new Map<number, number>();
  for (let actuator = 0; actuator < model.nu; actuator += 1) {
    const isPosition =
      model.actuator_trntype[actuator] === ON_JOINT &&
      model.actuator_biastype[actuator] === AFFINE_BIAS &&
      model.actuator_biasprm[actuator * stride(model.actuator_biasprm, model.nu) + 1] !== 0;
    if (isPosition) drives.set(model.actuator_trnid[2 * actuator], actuator);
  }
  const found = joints.map((joint) => drives.get(joint));
  if (found.every((actuator) => actuator === undefined)) return null;
  return found.map((actuator) => {
    if (actuator === undefined) throw new Error('Only some joints of the policy have position actuators: all or none must.');
    return actuator;
  });
}

function stride(values: ArrayLike<number>, rows: number): number {
  return values.length / rows;
}

function findSensor(mujoco: MujocoModule, model: MjModel, name: string): number | null {
  const id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SENSOR.value, name);
  return id < 0 || model.sensor_dim[id] !== 3 ? null : model.sensor_adr[id];
}

function findKeyframe(mujoco: MujocoModule, model: MjModel): number | null {
  if (model.nkey === 0) return null;
  return Math.max(0, mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_KEY.value, 'home'));
}
