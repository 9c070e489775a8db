// SPDX-License-Identifier: Apache-2.0
// The look of a scene: a GLB, which is y up, in the robot's world, which is z up.

import { Group, LoadingManager, Mesh, type Object3D } from 'three';
import { GLTFLoader } from 'three/examples/jsm/loaders/GLTFLoader.js';

import { download } from './download';
import type { Transform } from './spec';

/** Throws an Error when the file cannot be fetched or read, or wants files besides itself. */
export async function loadScene(url: string, { position, quaternion, scale }: Transform): Promise<Object3D> {
  const bytes = await download(url, () => undefined);
  const manager = new LoadingManager();
  manager.setURLModifier((link) => {
    if (!link.startsWith('blob:') && !link.startsWith('data:')) throw new Error('it refers to files besides itself.');
    return link;
  });
  const { scene } = await new GLTFLoader(manager).parseAsync(bytes.buffer, '');
  scene.rotateX(Math.PI / 2);
  scene.traverse((part) => {
    if (part instanceof Mesh) part.castShadow = part.receiveShadow = true;
  });
  const [x = 0, y = 0, z = 0] = position;
  const [qx = 0, qy = 0, qz = 0, qw = 1] = quaternion;
  const [sx = 1, sy = 1, sz = 1] = scale;
  const placed = new Group().add(scene);
  placed.position.set(x, y, z);
  placed.quaternion.set(qx, qy, qz, qw).normalize();
  placed.scale.set(sx, sy, sz);
  return placed;
}
