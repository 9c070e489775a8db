// SPDX-License-Identifier: Apache-2.0
// A robot's zip, unpacked into MuJoCo's file system in memory. The server has checked it; here it is only kept from
// eating the browser.

import { unzipSync } from 'fflate';

import type { MujocoModule } from './engine';

export const ROOT = '/robot';
const MOST_FILES = 4_000;
const MOST_BYTES = 512 * 2 ** 20;

/** Unpack. Throws an Error when the file is no zip, points out of its folder, or is too large. */
export function unpack(zip: Uint8Array): Map<string, Uint8Array> {
  let files = 0;
  let bytes = 0;
  const found = new Map<string, Uint8Array>();
  const entries = readable(() =>
    unzipSync(zip, {
      filter: (entry) => {
        files += 1;
        bytes += entry.originalSize;
        if (files > MOST_FILES || bytes > MOST_BYTES) throw new Error('The robot\'s bundle is too large for a browser.');
        if (!entry.name.endsWith('/') && !isInside(entry.name)) {
          throw new Error(`The robot's bundle has a file outside its folder: ${entry.name}.`);
        }
        return !entry.name.endsWith('/');
      },
    }),
  );
  for (const [name, content] of Object.entries(entries)) found.set(name, content);
  return found;
}

/** Write files below ROOT. `FS_createDataFile` takes the bytes as they are; MjVFS would copy them one by one. */
export function store(mujoco: MujocoModule, files: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, content] of files) {
    const [folder, file] = split(`${ROOT}/${name}`);
    mujoco.FS_createPath('/', folder.slice(1), true, true);
    mujoco.FS_createDataFile(folder, file, content, true, true, true);
  }
}

/** Folder and name of an absolute path. */
export function split(path: string): [string, string] {
  const at = path.lastIndexOf('/');
  return [path.slice(0, at), path.slice(at + 1)];
}

function isInside(name: string): boolean {
  return !name.startsWith('/') && !name.includes('\\') && !name.includes('\0') && !name.split('/').includes('..');
}

function readable<T>(act: () => T): T {
  try {
    return act();
  } catch (reason) {
    const why = reason instanceof Error ? reason.message : String(reason);
    throw new Error(why.startsWith('The robot') ? why : `The robot's bundle is no zip that can be read: ${why}.`);
  }
}
