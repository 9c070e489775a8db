// SPDX-License-Identifier: Apache-2.0
// The worker: loads a run, keeps it going in real time, and answers the page. One thread for physics and network.

import { ROOT, split, store, unpack } from './bundle';
import { download } from './download';
import { startEngine, type MjModel, type MujocoModule } from './engine';
import { Appearance, blend, geomNames } from './look';
import { Pace } from './pace';
import type { FromWorker, Stage, State, ToWorker, TraceRow } from './protocol';
import { findRobot } from './robot';
import { Runner, type World } from './runner';
import { readRun, type RunSpec } from './spec';

const STATE_PERIOD_MS = 100;

interface WorkerScope {
  postMessage(message: FromWorker, transfer?: Transferable[]): void;
  onmessage: ((event: MessageEvent<ToWorker>) => void) | null;
}
const page = globalThis as unknown as WorkerScope;

/** Where everything was after a tick. */
interface Snapshot {
  poses: Float32Array<ArrayBuffer>;
  basePos: [number, number, number];
}

/** A run that is loaded. */
class Session {
  private readonly pace: Pace;
  private waiting: (() => void)[] = [];
  private toldMs = 0;
  private before: Snapshot;
  private after: Snapshot;

  constructor(
    private readonly world: World,
    private readonly runner: Runner,
    readonly appearance: Appearance,
  ) {
    this.pace = new Pace(runner.tickS);
    this.before = this.after = this.snapshot();
  }

  /** Carried out between two ticks, where nothing is half done. */
  between(act: () => void): void {
    this.waiting.push(act);
  }

  /** Live until something breaks. */
  async live(): Promise<never> {
    this.pace.start();
    for (;;) {
      const costMs = await this.tick();
      if (performance.now() - this.toldMs >= STATE_PERIOD_MS) this.tellState();
      await this.pace.rest(costMs);
    }
  }

  /** Run ticks one after the other without a clock, and tell each. */
  async advance(ticks: number): Promise<void> {
    const rows: TraceRow[] = [];
    this.pace.start();
    for (let count = 0; count < ticks; count += 1) {
      await this.tick();
      rows.push(this.runner.traceRow());
    }
    page.postMessage({ type: 'trace', rows, state: this.state() });
  }

  command(command: Runner['command']): void {
    this.runner.command = command;
  }

  reset(): void {
    this.runner.reset();
    // No way leads from where it lay to where it starts.
    this.before = this.after = this.snapshot();
  }

  /** One tick late, and smooth on screens that are faster than the ticks. */
  tellFrame(): void {
    const share = this.pace.share();
    const poses = blend(this.before.poses, this.after.poses, share);
    const [x, y, z] = blend(Float32Array.from(this.before.basePos), Float32Array.from(this.after.basePos), share);
    page.postMessage({ type: 'frame', poses, basePos: [x ?? 0, y ?? 0, z ?? 0] }, [poses.buffer]);
  }

  settle(): void {
    for (const act of this.waiting.splice(0)) act();
  }

  private async tick(): Promise<number> {
    this.settle();
    const startedMs = performance.now();
    await this.runner.tick();
    this.before = this.after;
    this.after = this.snapshot();
    return performance.now() - startedMs;
  }

  private snapshot(): Snapshot {
    return { poses: this.appearance.poses(this.world.data), basePos: this.runner.basePos() };
  }

  private tellState(): void {
    this.toldMs = performance.now();
    page.postMessage({ type: 'state', state: this.state() });
  }

  private state(): State {
    return { ...this.runner.state(), realTimeFactor: this.pace.realTimeFactor(), tickMs: this.pace.tickMs() };
  }
}

let session: Session | null = null;
let isRealTime = true;

page.onmessage = ({ data: message }) => {
  if (message.type === 'load') {
    isRealTime = message.realTime;
    void load(message).catch(fail);
  } else if (session === null) {
    if (message.type !== 'look') fail(new Error('The robot is not there yet.'));
  } else {
    obey(session, message);
  }
};

function obey(live: Session, message: Exclude<ToWorker, { type: 'load' }>): void {
  switch (message.type) {
    case 'look':
      live.tellFrame();
      return;
    case 'advance':
      void live.advance(message.ticks).catch(fail);
      return;
    case 'command':
    case 'reset':
      live.between(() => {
        if (message.type === 'reset') live.reset();
        else live.command(message.command);
        page.postMessage({ type: 'applied', seq: message.seq });
      });
      if (!isRealTime) live.settle();
  }
}

async function load(message: Extract<ToWorker, { type: 'load' }>): Promise<void> {
  const run: RunSpec = readRun(message.run, message.base);
  const startedMs = performance.now();
  const [engine, zip, network, benchmark] = await Promise.all([
    startEngine(message.engineUrl, progress('engine')),
    download(run.bundleUrl, progress('robot')),
    download(run.modelUrl, progress('policy')),
    run.benchmarkUrl === null ? null : download(run.benchmarkUrl, () => undefined),
  ]);
  const downloadedMs = performance.now();
  progress('compile')(0, 1);
  const files = unpack(zip);
  const scene = benchmark === null ? '' : new TextDecoder().decode(benchmark);
  const model = compile(engine.mujoco, files, run.entryXmlPath, scene);
  const compiledMs = performance.now();
  progress('start')(0, 1);
  const world: World = {
    mujoco: engine.mujoco,
    model,
    data: new engine.mujoco.MjData(model),
    robot: findRobot(engine.mujoco, model, run.control),
    network: await engine.open(network),
  };
  session = new Session(world, new Runner(world, run.control), new Appearance(engine.mujoco, model, geomNames(scene)));
  const { look } = session.appearance;
  page.postMessage({ type: 'look', look }, look.meshes.flatMap((mesh) => [mesh.positions.buffer, mesh.normals.buffer]));
  page.postMessage({
    type: 'ready',
    timings: {
      downloadMs: downloadedMs - startedMs,
      compileMs: compiledMs - downloadedMs,
      totalMs: performance.now() - startedMs,
    },
  });
  if (isRealTime) await session.live();
}

/** Compile the robot's entry, with the benchmark scene included after it. */
function compile(mujoco: MujocoModule, files: ReadonlyMap<string, Uint8Array>, entry: string, scene: string): MjModel {
  if (!files.has(entry)) throw new Error(`The robot's bundle has no ${entry}.`);
  store(mujoco, files);
  let path = `${ROOT}/${entry}`;
  if (scene) {
    const [folder, name] = split(path);
    path = `${folder}/arena_world.xml`;
    const world = `<mujoco><include file="${name}"/><include file="arena_benchmark.xml"/></mujoco>`;
    mujoco.FS_createDataFile(folder, 'arena_benchmark.xml', new TextEncoder().encode(scene), true, true, true);
    mujoco.FS_createDataFile(folder, 'arena_world.xml', new TextEncoder().encode(world), true, true, true);
  }
  try {
    return mujoco.MjModel.from_xml_path(path);
  } catch (reason) {
    const lines = said(reason).replace(/^MuJoCo Error: (Loading error: )?/, '').trim().split(/\s*\n\s*/);
    throw new Error(`MuJoCo cannot compile the robot: ${lines.join('; ')}`);
  }
}

function progress(stage: Stage): (done: number, total: number) => void {
  return (done, total) => page.postMessage({ type: 'progress', stage, done, total });
}

function fail(reason: unknown): void {
  page.postMessage({ type: 'error', message: said(reason) });
}

function said(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}
