// SPDX-License-Identifier: Apache-2.0
// What the page and its worker say to each other. The worker has the physics and the policy; the page only looks.

/** vx and vy in m/s, wz in rad/s, in the robot's own frame. */
export type Command = readonly [number, number, number];

export type ToWorker =
  /** `run` is run.json, and `base` where it lay; `engineUrl` ends with a slash. `realTime: false` waits for `advance`. */
  | { type: 'load'; run: unknown; base: string; engineUrl: string; realTime: boolean }
  /** Answered with `applied` when it has come into force; so are `command` and `reset`. */
  | { type: 'command'; command: Command; seq: number }
  | { type: 'reset'; seq: number }
  /** Asks for one `frame`. A page that does not look asks for none. */
  | { type: 'look' }
  /** Run `ticks` control periods as fast as the machine can; only without `realTime`. */
  | { type: 'advance'; ticks: number };

export type Stage = 'engine' | 'robot' | 'policy' | 'compile' | 'start';

export interface State {
  /** Simulated seconds since the last reset. */
  timeS: number;
  /** Simulated per real seconds, over the last two seconds. */
  realTimeFactor: number;
  /** Observation, network and physics of one control period, mean of the last second. */
  tickMs: number;
  basePos: [number, number, number];
  /** On the ground, from where the robot was reset. */
  distanceM: number;
  tiltDeg: number;
  /** Since the last reset. */
  fell: boolean;
}

export interface Timings {
  downloadMs: number;
  compileMs: number;
  totalMs: number;
}

export type ShapeKind = 'plane' | 'heightfield' | 'sphere' | 'capsule' | 'ellipsoid' | 'cylinder' | 'box' | 'mesh';

/** A geom as MuJoCo compiled it: half sizes, colour 0–1, and where its mesh is in `Look.meshes`. */
export interface Shape {
  kind: ShapeKind;
  size: readonly [number, number, number];
  rgba: readonly [number, number, number, number];
  emission: number;
  mesh: number;
  /** Part of the robot, or of something else that is not fixed to the world. */
  moves: boolean;
  /** Of the benchmark scene: hidden when the scene has a look of its own. */
  ofScene: boolean;
}

/** Triangles without an index: x y z of three corners each. `normals` as long. */
export interface Mesh {
  positions: Float32Array;
  normals: Float32Array;
}

export interface Look {
  shapes: readonly Shape[];
  meshes: readonly Mesh[];
  /** Diameter of the robot's world in metres, as MuJoCo estimates it. */
  extentM: number;
}

/** One row of an `advance`: what a golden test compares. */
export interface TraceRow {
  timeS: number;
  qpos: number[];
  qvel: number[];
  action: number[];
}

export type FromWorker =
  | { type: 'progress'; stage: Stage; done: number; total: number }
  | { type: 'look'; look: Look }
  | { type: 'ready'; timings: Timings }
  | { type: 'applied'; seq: number }
  | { type: 'state'; state: State }
  /** Position and rotation matrix (row by row) of every shape: 12 numbers each. */
  | { type: 'frame'; poses: Float32Array; basePos: [number, number, number] }
  | { type: 'trace'; rows: TraceRow[]; state: State }
  | { type: 'error'; message: string };
