// SPDX-License-Identifier: Apache-2.0
// MuJoCo and onnxruntime as WebAssembly, from files of our own build beside this one, one thread each.

import loadMujoco, { type MainModule } from '@mujoco/mujoco';
import { env, InferenceSession } from 'onnxruntime-web/wasm';

import { download, gunzip, type OnProgress } from './download';

export type { MjData, MjModel } from '@mujoco/mujoco';
export type MujocoModule = MainModule;

export interface Engine {
  mujoco: MujocoModule;
  /** Load a network. Throws an Error with onnxruntime's reason. */
  open(model: Uint8Array): Promise<InferenceSession>;
}

/** Fetch and start both. `url` ends with a slash and has `mujoco.wasm.gz` and `onnxruntime.wasm.gz`. */
export async function startEngine(url: string, onProgress: OnProgress): Promise<Engine> {
  const names = ['mujoco.wasm.gz', 'onnxruntime.wasm.gz'];
  const done = names.map(() => [0, 0]);
  const sum = (at: number): number => done.reduce((total, pair) => total + (pair[at] ?? 0), 0);
  const [physics, networks] = await Promise.all(
    names.map(async (name, index) => {
      const bytes = await download(new URL(name, url).href, (...pair) => {
        done[index] = pair;
        onProgress(sum(0), sum(1));
      });
      return gunzip(bytes);
    }),
  );
  if (!physics || !networks) throw new Error('The engine is incomplete.');
  env.logLevel = 'error';
  env.wasm.numThreads = 1;
  env.wasm.wasmBinary = networks;
  return { mujoco: await startMujoco(physics), open };
}

async function open(model: Uint8Array): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(model, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
  } catch (reason) {
    throw new Error(`onnxruntime cannot load the policy: ${reason instanceof Error ? reason.message : String(reason)}`);
  }
}

async function startMujoco(binary: ArrayBuffer): Promise<MujocoModule> {
  return loadMujoco({ wasmBinary: binary, print: () => undefined, printErr: (text: string) => console.info(text) });
}
