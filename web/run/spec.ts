// SPDX-License-Identifier: Apache-2.0
// What a run is made of: run.json, read once and strictly, so that a mistake in it is one sentence and not a blank page.

import { parseUrl } from '../src/address';

export interface Term {
  name: string;
  scale: number | readonly number[];
  clip: readonly [number, number] | null;
  historyLength: number;
  periodS: number | null;
}

export type Range = readonly [number, number];

/** One policy's side of the loop (docs/contract.md). Vectors are in the order of `jointNames`; SI units. */
export interface ControlSpec {
  controlDtS: number;
  jointNames: readonly string[];
  defaultJointPos: readonly number[];
  stiffness: readonly number[];
  damping: readonly number[];
  armature: number | null;
  actionScale: readonly number[];
  actionOffset: readonly number[];
  actionClip: readonly Range[] | null;
  observations: readonly Term[];
  commands: { readonly linVelX: Range; readonly linVelY: Range; readonly angVelZ: Range };
  inputName: string;
  outputName: string;
  initial: { readonly basePos: readonly number[]; readonly baseQuat: readonly number[] } | null;
  fell: { readonly minHeightM: number | null; readonly maxTiltDeg: number | null };
}

/** Position in metres in the robot's world (z up), quaternion x y z w, and scale of the scene's look. */
export interface Transform {
  position: readonly number[];
  quaternion: readonly number[];
  scale: readonly number[];
}

export interface RunSpec {
  title: string;
  modelUrl: string;
  control: ControlSpec;
  bundleUrl: string;
  entryXmlPath: string;
  glbUrl: string | null;
  transform: Transform;
  /** Its physics: an MJCF that is included after the robot's own. */
  benchmarkUrl: string | null;
  benchmarkName: string;
  /** Pages that may send control messages, besides those of this page's own origin. */
  controlOrigins: readonly string[];
}

const VERSION = 1;
const STILL: Transform = { position: [0, 0, 0], quaternion: [0, 0, 0, 1], scale: [1, 1, 1] };

/** Read run.json; links in it are relative to `base`. Throws an Error naming the first thing that is wrong. */
export function readRun(value: unknown, base: string): RunSpec {
  const run = new Entry(value, 'run.json');
  const policy = run.entry('policy');
  const robot = run.entry('robot');
  const scene = run.has('scene') ? run.entry('scene') : null;
  const benchmark = scene?.has('benchmark') ? scene.get('benchmark') : null;
  const named = typeof benchmark === 'string' ? null : benchmark === null ? null : new Entry(benchmark, 'scene.benchmark');
  return {
    title: run.text('title'),
    modelUrl: policy.link('modelUrl', base),
    control: readControlSpec(policy.get('controlSpec')),
    bundleUrl: robot.link('bundleUrl', base),
    entryXmlPath: robot.text('entryXmlPath'),
    glbUrl: scene?.has('glbUrl') ? scene.link('glbUrl', base) : null,
    transform: scene?.has('transform') ? readTransform(scene.entry('transform')) : STILL,
    benchmarkUrl: named?.has('xmlUrl') ? named.link('xmlUrl', base) : null,
    benchmarkName: typeof benchmark === 'string' ? benchmark : named?.has('ref') ? named.text('ref') : '',
    controlOrigins: run.has('controlOrigins') ? run.texts('controlOrigins') : [],
  };
}

/** Read a ControlSpec as the server writes it. */
export function readControlSpec(value: unknown): ControlSpec {
  const spec = new Entry(value, 'controlSpec');
  if (spec.has('version') && spec.number('version') !== VERSION) {
    throw new Error(`controlSpec: this page reads version ${VERSION}, and it has version ${spec.number('version')}.`);
  }
  const jointNames = spec.texts('joint_names');
  const perJoint = (key: string): number[] => spec.numbers(key, jointNames.length);
  const commands = spec.entry('commands');
  const initial = spec.has('initial') ? spec.entry('initial') : null;
  const fell = spec.has('fell') ? spec.entry('fell') : null;
  return {
    controlDtS: spec.positive('control_dt'),
    jointNames,
    defaultJointPos: perJoint('default_joint_pos'),
    stiffness: perJoint('stiffness'),
    damping: perJoint('damping'),
    armature: spec.optionalNumber('armature'),
    actionScale: perJoint('action_scale'),
    actionOffset: perJoint('action_offset'),
    actionClip: spec.has('action_clip') ? spec.ranges('action_clip', jointNames.length) : null,
    observations: spec.list('observations').map((term) => readTerm(new Entry(term, 'controlSpec.observations'))),
    commands: {
      linVelX: commands.range('lin_vel_x'),
      linVelY: commands.range('lin_vel_y'),
      angVelZ: commands.range('ang_vel_z'),
    },
    inputName: spec.has('input_name') ? spec.text('input_name') : 'obs',
    outputName: spec.has('output_name') ? spec.text('output_name') : 'actions',
    initial: initial && { basePos: initial.numbers('base_pos', 3), baseQuat: initial.numbers('base_quat', 4) },
    fell: {
      minHeightM: fell?.optionalNumber('min_height') ?? null,
      maxTiltDeg: fell?.optionalNumber('max_tilt_deg') ?? null,
    },
  };
}

function readTerm(term: Entry): Term {
  const scale = term.has('scale') ? term.get('scale') : 1;
  const params = term.has('params') ? term.entry('params') : null;
  return {
    name: term.text('name'),
    scale: Array.isArray(scale) ? term.numbers('scale', scale.length) : typeof scale === 'number' ? scale : term.number('scale'),
    clip: term.has('clip') ? term.range('clip') : null,
    historyLength: term.has('history_length') ? term.positive('history_length') : 1,
    periodS: params?.has('period') ? params.positive('period') : null,
  };
}

function readTransform(entry: Entry): Transform {
  return {
    position: entry.numbers('position', 3),
    quaternion: entry.numbers('quaternion', 4),
    scale: entry.numbers('scale', 3),
  };
}

/** An object of foreign JSON; every reader throws an Error that names the key. */
class Entry {
  private readonly fields: Readonly<Record<string, unknown>>;

  constructor(value: unknown, private readonly name: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${name} must be an object.`);
    this.fields = value as Record<string, unknown>;
  }

  has(key: string): boolean {
    return Object.hasOwn(this.fields, key) && this.fields[key] !== null;
  }

  get(key: string): unknown {
    if (!this.has(key)) throw new Error(`${this.name}: ${key} is missing.`);
    return this.fields[key];
  }

  entry(key: string): Entry {
    return new Entry(this.get(key), this.name === 'run.json' ? key : `${this.name}.${key}`);
  }

  text(key: string): string {
    const value = this.get(key);
    if (typeof value !== 'string' || !value) throw this.wrong(key, 'a text');
    return value;
  }

  /** An absolute address on the web; anything that a browser would run instead of fetch is refused. */
  link(key: string, base: string): string {
    const text = this.text(key);
    const url = parseUrl(text, base);
    if (url === null || !['http:', 'https:'].includes(url.protocol)) throw this.wrong(key, 'an http address');
    return url.href;
  }

  number(key: string): number {
    const value = this.get(key);
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a number');
    return value;
  }

  positive(key: string): number {
    const value = this.number(key);
    if (value <= 0) throw this.wrong(key, 'above zero');
    return value;
  }

  optionalNumber(key: string): number | null {
    return this.has(key) ? this.number(key) : null;
  }

  list(key: string): unknown[] {
    const value = this.get(key);
    if (!Array.isArray(value) || value.length === 0) throw this.wrong(key, 'a list that is not empty');
    return value;
  }

  texts(key: string): string[] {
    return this.list(key).map((item) => {
      if (typeof item !== 'string') throw this.wrong(key, 'a list of texts');
      return item;
    });
  }

  numbers(key: string, count: number): number[] {
    return this.vector(this.get(key), key, count);
  }

  range(key: string): Range {
    const [low = 0, high = 0] = this.numbers(key, 2);
    if (low > high) throw this.wrong(key, 'lowest first');
    return [low, high];
  }

  ranges(key: string, count: number): Range[] {
    const pairs = this.list(key).map((pair): Range => {
      const [low = 0, high = 0] = this.vector(pair, key, 2);
      return [low, high];
    });
    if (pairs.length !== count) throw this.wrong(key, `${count} pairs`);
    return pairs;
  }

  private vector(value: unknown, key: string, count: number): number[] {
    if (!Array.isArray(value) || value.length !== count || !value.every(Number.isFinite)) {
      throw this.wrong(key, `a list of ${count} numbers`);
    }
    return value as number[];
  }

  private wrong(key: string, what: string): Error {
    return new Error(`${this.name}: ${key} must be ${what}.`);
  }
}
