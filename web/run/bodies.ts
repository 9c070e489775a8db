// SPDX-License-Identifier: Apache-2.0
// The model's geoms as three.js meshes, in MuJoCo's conventions: half sizes, round things along z.

import {
  Box3,
  BoxGeometry,
  BufferAttribute,
  BufferGeometry,
  CapsuleGeometry,
  Color,
  CylinderGeometry,
  Group,
  type Material,
  Mesh,
  MeshLambertMaterial,
  MeshStandardMaterial,
  PlaneGeometry,
  SphereGeometry,
  SRGBColorSpace,
} from 'three';

import type { Look, Shape } from './protocol';

const QUARTER = Math.PI / 2;
const FALLBACK_SIZE_M = 1;

export class Bodies extends Group {
  /** Planes without a border: the ground is drawn by Surroundings. */
  readonly grounds: Mesh[] = [];
  private readonly parts: Mesh[];
  private readonly shapes: readonly Shape[];

  /** `isPlain` for a processor that draws: matt surfaces cost a third. */
  constructor(look: Look, isPlain: boolean) {
    super();
    this.shapes = look.shapes;
    const shared = look.meshes.map(({ positions, normals }) => {
      const geometry = new BufferGeometry();
      geometry.setAttribute('position', new BufferAttribute(positions, 3));
      geometry.setAttribute('normal', new BufferAttribute(normals, 3));
      return geometry;
    });
    this.parts = look.shapes.map((shape) => {
      const part = new Mesh(shared[shape.mesh] ?? geometryOf(shape), materialOf(shape, isPlain));
      part.matrixAutoUpdate = false;
      part.castShadow = shape.kind !== 'plane';
      part.receiveShadow = true;
      if (shape.kind === 'plane' && shape.size[0] === 0) this.grounds.push(part);
      else this.add(part);
      return part;
    });
  }

  /** 12 numbers each: position, rotation matrix row by row. */
  place(poses: Float32Array): void {
    this.parts.forEach((part, index) => {
      const [x = 0, y = 0, z = 0, a = 1, b = 0, c = 0, d = 0, e = 1, f = 0, g = 0, h = 0, i = 1] = poses.subarray(
        12 * index,
        12 * index + 12,
      );
      part.matrix.set(a, b, c, x, d, e, f, y, g, h, i, z, 0, 0, 0, 1);
      part.matrixWorldNeedsUpdate = true;
    });
  }

  hideScene(): void {
    this.shapes.forEach((shape, index) => {
      const part = this.parts[index];
      if (part && shape.ofScene) part.visible = false;
    });
  }

  /** Diagonal of the box around what moves. */
  robotSizeM(): number {
    this.updateMatrixWorld(true);
    const box = new Box3();
    this.shapes.forEach((shape, index) => {
      const part = this.parts[index];
      if (part && shape.moves) box.expandByObject(part);
    });
    const { x, y, z } = box.isEmpty() ? { x: 0, y: 0, z: 0 } : box.max.clone().sub(box.min);
    return Math.hypot(x, y, z) || FALLBACK_SIZE_M;
  }
}

function geometryOf({ kind, size: [x, y, z] }: Shape): BufferGeometry {
  switch (kind) {
    case 'plane':
      return new PlaneGeometry(2 * (x || 1), 2 * (y || 1));
    case 'sphere':
      return new SphereGeometry(x, 32, 20);
    case 'ellipsoid':
      return new SphereGeometry(1, 32, 20).scale(x, y, z);
    case 'capsule':
      return new CapsuleGeometry(x, 2 * y, 10, 24).rotateX(QUARTER);
    case 'cylinder':
      return new CylinderGeometry(x, x, 2 * y, 32).rotateX(QUARTER);
    default:
      return new BoxGeometry(2 * x, 2 * y, 2 * z);
  }
}

function materialOf({ rgba: [red, green, blue, alpha], emission }: Shape, isPlain: boolean): Material {
  const color = new Color().setRGB(red, green, blue, SRGBColorSpace);
  const common = { color, emissive: color, emissiveIntensity: emission, opacity: alpha, transparent: alpha < 1 };
  if (isPlain) return new MeshLambertMaterial(common);
  return new MeshStandardMaterial({ ...common, roughness: 0.55, metalness: 0.08 });
}
