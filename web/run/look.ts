// SPDX-License-Identifier: Apache-2.0
// What a compiled model looks like, in plain arrays that a page can draw without MuJoCo.

import type { MjData, MjModel, MujocoModule } from './engine';
import type { Look, Mesh, Shape, ShapeKind } from './protocol';

// mjtGeom
const KINDS: readonly ShapeKind[] = ['plane', 'heightfield', 'sphere', 'capsule', 'ellipsoid', 'cylinder', 'box', 'mesh'];
// Groups from 3 on are hidden in MuJoCo's own viewer as well: models keep their collision geoms there.
const VISIBLE_GROUPS = 3;
const MOST_CORNERS = 12_000_000;

/** The visible geoms, and how to read where they are. */
export class Appearance {
  readonly look: Look;
  private readonly geoms: readonly number[];

  /** `sceneGeoms` are names of geoms that belong to the benchmark scene. Throws an Error when there is too much to draw. */
  constructor(mujoco: MujocoModule, model: MjModel, sceneGeoms: ReadonlySet<string>) {
    const meshes: Mesh[] = [];
    const known = new Map<string, number>();
    this.geoms = visibleGeoms(model);
    const shapes = this.geoms.map((geom): Shape => {
      const kind = KINDS[model.geom_type[geom]] ?? 'box';
      return {
        kind,
        size: triple(model.geom_size, geom),
        ...paint(model, geom),
        mesh: hasMesh(kind) ? meshOf(model, kind, model.geom_dataid[geom], meshes, known) : -1,
        moves: !isStatic(model, geom),
        ofScene: sceneGeoms.has(mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_GEOM.value, geom) ?? ''),
      };
    });
    this.look = { shapes, meshes, extentM: model.stat.extent };
  }

  /** Position and rotation matrix of each shape, 12 numbers. */
  poses(data: MjData): Float32Array<ArrayBuffer> {
    const positions: Float64Array = data.geom_xpos;
    const turns: Float64Array = data.geom_xmat;
    const poses = new Float32Array(12 * this.geoms.length);
    this.geoms.forEach((geom, index) => {
      poses.set(positions.subarray(3 * geom, 3 * geom + 3), 12 * index);
      poses.set(turns.subarray(9 * geom, 9 * geom + 9), 12 * index + 3);
    });
    return poses;
  }
}

/** Between two poses of the same shapes; a tick is so short that matrices may be mixed like numbers. */
export function blend(before: Float32Array, after: Float32Array, share: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(after, (value, index) => value + (share - 1) * (value - (before[index] ?? value)));
}

/** Names of the geoms in an MJCF. */
export function geomNames(xml: string): Set<string> {
  const found = xml.matchAll(/<geom\b[^>]*?\bname\s*=\s*["']([^"']+)["']/g);
  return new Set(Array.from(found, (match) => match[1] ?? ''));
}

function visibleGeoms(model: MjModel): number[] {
  const all = Array.from({ length: model.ngeom }, (_, geom) => geom);
  const drawable = all.filter((geom) => model.geom_type[geom] < KINDS.length && paint(model, geom).rgba[3] > 0);
  const visible = drawable.filter((geom) => model.geom_group[geom] < VISIBLE_GROUPS);
  // A robot that is made of collision geoms only is better shown so than not at all.
  return visible.some((geom) => !isStatic(model, geom)) ? visible : drawable;
}

function isStatic(model: MjModel, geom: number): boolean {
  return model.body_weldid[model.geom_bodyid[geom]] === 0;
}

function paint(model: MjModel, geom: number): Pick<Shape, 'rgba' | 'emission'> {
  const material = model.geom_matid[geom];
  const source = material < 0 ? model.geom_rgba : model.mat_rgba;
  const at = 4 * (material < 0 ? geom : material);
  const [red, green, blue, alpha] = source.slice(at, at + 4);
  return { rgba: [red, green, blue, alpha], emission: material < 0 ? 0 : model.mat_emission[material] };
}

function hasMesh(kind: ShapeKind): boolean {
  return kind === 'mesh' || kind === 'heightfield';
}

function triple(values: ArrayLike<number>, row: number): [number, number, number] {
  return [values[3 * row] ?? 0, values[3 * row + 1] ?? 0, values[3 * row + 2] ?? 0];
}

/** Index of a mesh in `meshes`; geoms that share one share its triangles. */
function meshOf(model: MjModel, kind: ShapeKind, id: number, meshes: Mesh[], known: Map<string, number>): number {
  const key = `${kind} ${id}`;
  const there = known.get(key);
  if (there !== undefined) return there;
  meshes.push(kind === 'mesh' ? triangles(model, id) : relief(model, id));
  const corners = meshes.reduce((sum, mesh) => sum + mesh.positions.length / 3, 0);
  if (corners > MOST_CORNERS) throw new Error('The robot has more triangles than a browser can draw.');
  known.set(key, meshes.length - 1);
  return meshes.length - 1;
}

function triangles(model: MjModel, id: number): Mesh {
  const first = 3 * model.mesh_faceadr[id];
  const corners = 3 * model.mesh_facenum[id];
  return {
    positions: pick(model.mesh_vert, model.mesh_face, first, corners, model.mesh_vertadr[id]),
    normals: pick(model.mesh_normal, model.mesh_facenormal, first, corners, model.mesh_normaladr[id]),
  };
}

/** The vectors that `indices[first …]` point to, one after the other. */
function pick(vectors: ArrayLike<number>, indices: ArrayLike<number>, first: number, count: number, base: number): Float32Array {
  const found = new Float32Array(3 * count);
  for (let corner = 0; corner < count; corner += 1) {
    const from = 3 * (base + (indices[first + corner] ?? 0));
    for (let axis = 0; axis < 3; axis += 1) found[3 * corner + axis] = vectors[from + axis] ?? 0;
  }
  return found;
}

/** A height field as triangles; sizes are x, y half widths, height, depth of the base. */
function relief(model: MjModel, id: number): Mesh {
  const rows: number = model.hfield_nrow[id];
  const columns: number = model.hfield_ncol[id];
  const [halfX, halfY, height] = model.hfield_size.slice(4 * id, 4 * id + 3);
  const heights: Float32Array = model.hfield_data;
  const start: number = model.hfield_adr[id];
  const corner = (row: number, column: number): number[] => [
    halfX * ((2 * column) / (columns - 1) - 1),
    halfY * ((2 * row) / (rows - 1) - 1),
    height * (heights[start + row * columns + column] ?? 0),
  ];
  const positions: number[] = [];
  for (let row = 0; row + 1 < rows; row += 1) {
    for (let column = 0; column + 1 < columns; column += 1) {
      const [a, b, c, d] = [corner(row, column), corner(row, column + 1), corner(row + 1, column), corner(row + 1, column + 1)];
      positions.push(...a, ...b, ...d, ...a, ...d, ...c);
    }
  }
  return { positions: Float32Array.from(positions), normals: flatNormals(positions) };
}

function flatNormals(positions: readonly number[]): Float32Array {
  const normals = new Float32Array(positions.length);
  for (let at = 0; at < positions.length; at += 9) {
    const [ax = 0, ay = 0, az = 0, bx = 0, by = 0, bz = 0, cx = 0, cy = 0, cz = 0] = positions.slice(at, at + 9);
    const [ux, uy, uz, vx, vy, vz] = [bx - ax, by - ay, bz - az, cx - ax, cy - ay, cz - az];
    const normal = [uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx];
    const length = Math.hypot(...normal) || 1;
    for (let index = 0; index < 9; index += 1) normals[at + index] = (normal[index % 3] ?? 0) / length;
  }
  return normals;
}
