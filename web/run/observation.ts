// SPDX-License-Identifier: Apache-2.0
// The policy's input: each term raw → clip → scale, its last readings oldest first, terms one after the other.

import type { MjData } from './engine';
import type { Command } from './protocol';
import type { Robot } from './robot';
import type { ControlSpec, Term } from './spec';

/** What a term may read. */
export interface Situation {
  data: MjData;
  command: Command;
  lastAction: Float32Array;
}

type Reading = (now: Situation) => ArrayLike<number>;

interface Slot {
  read: Reading;
  term: Term;
  width: number;
  at: number;
}

export class Observation {
  readonly values: Float32Array<ArrayBuffer>;
  private readonly slots: readonly Slot[];
  private primed = false;

  /** Throws an Error naming a term that is unknown or that this robot cannot tell. */
  constructor(spec: ControlSpec, robot: Robot) {
    let at = 0;
    this.slots = spec.observations.map((term) => {
      const [width, read] = reader(term, spec, robot);
      if (Array.isArray(term.scale) && term.scale.length !== width) {
        throw new Error(`The observation ${term.name} has ${width} numbers and ${term.scale.length} scales.`);
      }
      const slot = { read, term, width, at };
      at += width * term.historyLength;
      return slot;
    });
    this.values = new Float32Array(at);
  }

  /** Forget the past: the next reading fills every history. */
  reset(): void {
    this.primed = false;
  }

  /** Take a reading of every term. */
  update(now: Situation): void {
    for (const slot of this.slots) this.push(slot, slot.read(now));
    this.primed = true;
  }

  private push({ term, width, at }: Slot, raw: ArrayLike<number>): void {
    const newest = at + width * (term.historyLength - 1);
    if (this.primed) this.values.copyWithin(at, at + width, newest + width);
    const [low, high] = term.clip ?? [-Infinity, Infinity];
    for (let index = 0; index < width; index += 1) {
      const scale = typeof term.scale === 'number' ? term.scale : (term.scale[index] ?? 1);
      this.values[newest + index] = Math.min(high, Math.max(low, raw[index] ?? NaN)) * scale;
    }
    if (this.primed) return;
    for (let past = at; past < newest; past += width) this.values.copyWithin(past, newest, newest + width);
  }
}

/** Numbers of one reading, and how to take it. */
function reader(term: Term, spec: ControlSpec, robot: Robot): [number, Reading] {
  const joints = spec.jointNames.length;
  switch (term.name) {
    case 'base_lin_vel':
      return [3, linearVelocity(term, robot)];
    case 'base_ang_vel':
      return [3, angularVelocity(term, robot)];
    case 'projected_gravity':
      return [3, gravity(term, robot)];
    case 'joint_pos':
    case 'joint_pos_rel':
      return [joints, ({ data }) => robot.qposAt.map((at, index) => data.qpos[at] - (spec.defaultJointPos[index] ?? 0))];
    case 'joint_vel':
    case 'joint_vel_rel':
      return [joints, ({ data }) => robot.dofAt.map((at) => data.qvel[at])];
    case 'actions':
    case 'last_action':
      return [joints, ({ lastAction }) => lastAction];
    case 'command':
    case 'velocity_commands':
      return [3, ({ command }) => command];
    case 'gait_phase':
      return [2, gaitPhase(term)];
    default:
      throw new Error(`The observation ${term.name} is unknown to this page.`);
  }
}

function linearVelocity(term: Term, robot: Robot): Reading {
  const sensor = robot.linearVelocitySensorAt;
  if (sensor !== null) return ({ data }) => data.sensordata.slice(sensor, sensor + 3);
  const base = baseOf(term, robot);
  return ({ data }) => {
    const world = data.qvel.slice(base.dofAt, base.dofAt + 3);
    return inBody(data.qpos.slice(base.qposAt + 3, base.qposAt + 7), world);
  };
}

function angularVelocity(term: Term, robot: Robot): Reading {
  const sensor = robot.angularVelocitySensorAt;
  if (sensor !== null) return ({ data }) => data.sensordata.slice(sensor, sensor + 3);
  const base = baseOf(term, robot);
  return ({ data }) => data.qvel.slice(base.dofAt + 3, base.dofAt + 6);
}

function gravity(term: Term, robot: Robot): Reading {
  const base = baseOf(term, robot);
  return ({ data }) => inBody(data.qpos.slice(base.qposAt + 3, base.qposAt + 7), [0, 0, -1]);
}

function gaitPhase(term: Term): Reading {
  const periodS = term.periodS;
  if (periodS === null) throw new Error('The observation gait_phase needs a period.');
  return ({ data }) => {
    const angle = (2 * Math.PI * data.time) / periodS;
    return [Math.sin(angle), Math.cos(angle)];
  };
}

function baseOf(term: Term, robot: Robot): { qposAt: number; dofAt: number } {
  if (robot.base === null) throw new Error(`The observation ${term.name} needs a robot with a free joint.`);
  return robot.base;
}

/** A vector of the world, seen from a body turned by the unit quaternion w x y z. */
export function inBody(quaternion: ArrayLike<number>, vector: ArrayLike<number>): [number, number, number] {
  const [w = 1, x = 0, y = 0, z = 0] = Array.from(quaternion);
  const [a = 0, b = 0, c = 0] = Array.from(vector);
  return [
    (1 - 2 * (y * y + z * z)) * a + 2 * (x * y + w * z) * b + 2 * (x * z - w * y) * c,
    2 * (x * y - w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z + w * x) * c,
    2 * (x * z + w * y) * a + 2 * (y * z - w * x) * b + (1 - 2 * (x * x + y * y)) * c,
  ];
}
