// SPDX-License-Identifier: Apache-2.0
// The loop of docs/contract.md: observe → network → target → steps of physics. The server's runner does the same.

import type { InferenceSession } from 'onnxruntime-web/wasm';
import { Tensor } from 'onnxruntime-web/wasm';

import type { MjData, MjModel, MujocoModule } from './engine';
import { inBody, Observation } from './observation';
import type { Command, State, TraceRow } from './protocol';
import type { Robot } from './robot';
import type { ControlSpec } from './spec';

/** What a runner drives. The caller owns the WebAssembly objects. */
export interface World {
  mujoco: MujocoModule;
  model: MjModel;
  data: MjData;
  robot: Robot;
  network: InferenceSession;
}

export class Runner {
  command: Command = [0, 0, 0];
  readonly tickS: number;
  private readonly observation: Observation;
  private readonly targets: Float64Array;
  private lastAction: Float32Array;
  private start: readonly [number, number, number] = [0, 0, 0];
  private fell = false;

  /** Throws an Error when network, spec and robot do not fit together. */
  constructor(
    private readonly world: World,
    private readonly spec: ControlSpec,
  ) {
    const { model, robot } = world;
    this.observation = new Observation(spec, robot);
    checkNetwork(world.network, spec, this.observation.values.length);
    if (spec.initial && !robot.base) throw new Error('The policy says where to start, and the robot has no free joint.');
    this.tickS = robot.substeps * model.opt.timestep;
    this.targets = new Float64Array(spec.jointNames.length);
    this.lastAction = new Float32Array(spec.jointNames.length);
    if (robot.actuators === null) this.dampJoints();
    this.reset();
  }

  /** Back to the start; the past is forgotten. The command stays. */
  reset(): void {
    const { mujoco, model, data, robot } = this.world;
    if (robot.keyframe === null) mujoco.mj_resetData(model, data);
    else mujoco.mj_resetDataKeyframe(model, data, robot.keyframe);
    const { initial, defaultJointPos } = this.spec;
    if (initial && robot.base) data.qpos.set([...initial.basePos, ...initial.baseQuat], robot.base.qposAt);
    robot.qposAt.forEach((at, index) => (data.qpos[at] = defaultJointPos[index]));
    data.qvel.fill(0);
    mujoco.mj_forward(model, data);
    this.observation.reset();
    this.lastAction = new Float32Array(this.lastAction.length);
    this.start = this.basePos();
    this.fell = false;
  }

  /** One control period. Throws an Error when the network fails or the simulation is no longer finite. */
  async tick(): Promise<void> {
    const { mujoco, model, data, robot } = this.world;
    this.observation.update({ data, command: this.command, lastAction: this.lastAction });
    this.lastAction = await this.decide();
    this.aim();
    const sinceS = data.time;
    for (let step = 0; step < robot.substeps; step += 1) {
      this.drive();
      mujoco.mj_step(model, data);
    }
    this.checkFinite(sinceS);
    this.fell ||= this.isDown();
  }

  /** Facts of now; the caller knows how fast time passes. */
  state(): Omit<State, 'realTimeFactor' | 'tickMs'> {
    const basePos = this.basePos();
    return {
      timeS: this.world.data.time,
      basePos,
      distanceM: Math.hypot(basePos[0] - this.start[0], basePos[1] - this.start[1]),
      tiltDeg: this.tiltDeg(),
      fell: this.fell,
    };
  }

  traceRow(): TraceRow {
    const { data } = this.world;
    return {
      timeS: data.time,
      qpos: Array.from(data.qpos as Float64Array),
      qvel: Array.from(data.qvel as Float64Array),
      action: Array.from(this.lastAction),
    };
  }

  /** The origin where there is no free joint. */
  basePos(): [number, number, number] {
    const { data, robot } = this.world;
    if (robot.base === null) return [0, 0, 0];
    const [x, y, z] = data.qpos.slice(robot.base.qposAt, robot.base.qposAt + 3);
    return [x, y, z];
  }

  private async decide(): Promise<Float32Array> {
    const { inputName, outputName } = this.spec;
    const values = this.observation.values;
    const answer = await this.world.network.run({ [inputName]: new Tensor('float32', values, [1, values.length]) }, [
      outputName,
    ]);
    const action = answer[outputName]?.data;
    if (!(action instanceof Float32Array) || action.length !== this.lastAction.length) {
      throw new Error(`The policy answers with ${action?.length ?? 0} numbers, and drives ${this.lastAction.length} joints.`);
    }
    if (!action.every(Number.isFinite)) throw new Error('The policy answers with a number that is not finite.');
    return action.slice();
  }

  private aim(): void {
    const { actionScale, actionOffset, actionClip } = this.spec;
    this.lastAction.forEach((raw, index) => {
      const target = raw * (actionScale[index] ?? 1) + (actionOffset[index] ?? 0);
      const [low, high] = actionClip?.[index] ?? [-Infinity, Infinity];
      this.targets[index] = Math.min(high, Math.max(low, target));
    });
  }

  private drive(): void {
    const { data, robot } = this.world;
    if (robot.actuators) {
      const control = data.ctrl;
      robot.actuators.forEach((actuator, index) => (control[actuator] = this.targets[index]));
      return;
    }
    const { qpos, qfrc_applied: force } = data;
    robot.dofAt.forEach((dof, index) => {
      const error = (this.targets[index] ?? 0) - qpos[robot.qposAt[index] ?? 0];
      force[dof] = (this.spec.stiffness[index] ?? 0) * error;
    });
  }

  /** Damping belongs to the integrator, which is implicit: -kd·q̇ as a force makes light joints explode. */
  private dampJoints(): void {
    const { model, robot } = this.world;
    robot.dofAt.forEach((dof, index) => {
      model.dof_damping[dof] = this.spec.damping[index];
      if (this.spec.armature !== null) model.dof_armature[dof] = this.spec.armature;
    });
  }

  /** MuJoCo resets a state that is no longer finite by itself; its clock, which then starts anew, tells. */
  private checkFinite(sinceS: number): void {
    const { data } = this.world;
    const isOnTime = Math.abs(data.time - sinceS - this.tickS) < this.tickS / (2 * this.world.robot.substeps);
    if (isOnTime && (data.qpos as Float64Array).every(Number.isFinite)) return;
    throw new Error(`The simulation broke down after ${sinceS.toFixed(2)} s: the robot moves too fast for its time step.`);
  }

  private isDown(): boolean {
    const { minHeightM, maxTiltDeg } = this.spec.fell;
    if (this.world.robot.base === null) return false;
    return (minHeightM !== null && this.basePos()[2] < minHeightM) || (maxTiltDeg !== null && this.tiltDeg() > maxTiltDeg);
  }

  private tiltDeg(): number {
    const { data, robot } = this.world;
    if (robot.base === null) return 0;
    const down = inBody(data.qpos.slice(robot.base.qposAt + 3, robot.base.qposAt + 7), [0, 0, -1]);
    return (Math.acos(Math.min(1, Math.max(-1, -down[2]))) * 180) / Math.PI;
  }
}

function checkNetwork(network: InferenceSession, spec: ControlSpec, width: number): void {
  const [input, ...others] = network.inputNames;
  if (input !== spec.inputName || others.length > 0) {
    throw new Error(`The policy's inputs are ${network.inputNames.join(', ')}, and the run offers ${spec.inputName}.`);
  }
  if (!network.outputNames.includes(spec.outputName)) {
    throw new Error(`The policy's outputs are ${network.outputNames.join(', ')}, and the run needs ${spec.outputName}.`);
  }
  const shape = network.inputMetadata[0];
  const wanted = shape?.isTensor ? shape.shape.at(-1) : undefined;
  if (typeof wanted === 'number' && wanted !== width) {
    throw new Error(`The policy takes ${wanted} numbers, and its observations add up to ${width}.`);
  }
}
