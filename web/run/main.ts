// SPDX-License-Identifier: Apache-2.0
// Puts the page together: run.json → worker → facts, picture and control.

import '../src/style/base.css';
import './style/run.css';
import { parseUrl } from '../src/address';
import { byId, setData, setText } from '../src/dom';
import { isBare } from './bare';
import { Driver } from './driver';
import { Facts } from './facts';
import { commandOf } from './keys';
import { Loading } from './loading';
import type { FromWorker, State, Timings, ToWorker } from './protocol';
import { Remote, type Control } from './remote';
import { hasWebGl, missingFeature } from './requirements';
import { readRun, type RunSpec } from './spec';
import type { Picture } from './picture';

const REMOTE_STATE_PERIOD_MS = 1000;

/** run.json as it came, and where it lay: the worker reads it for itself. */
interface Source {
  run: unknown;
  base: string;
}

class Run {
  private readonly worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'run' });
  private readonly loading = new Loading();
  private readonly remote: Remote;
  private readonly driver: Driver;
  private picture: Picture | null = null;
  private isReady = false;
  private state: State | null = null;
  /** Sequence number of the page that controls, by that of our message to the worker. */
  private readonly unacknowledged = new Map<number, number>();
  private seq = 0;
  private remoteSeq: number | null = null;

  constructor(
    private readonly run: RunSpec,
    source: Source,
    private readonly facts: Facts,
  ) {
    this.driver = new Driver({
      drive: (pressed) => this.send({ type: 'command', command: commandOf(pressed, run.control.commands), seq: this.number() }),
      reset: () => this.send({ type: 'reset', seq: this.number() }),
      toggleFollow: () => this.picture?.toggleFollow(),
    });
    this.remote = new Remote(run.controlOrigins, (control) => this.obey(control));
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.receive(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail(`The simulation's script failed${event.message ? `: ${event.message}` : ' to load: load the page again'}.`);
    };
    const engineUrl = new URL(`${import.meta.env.BASE_URL}engine/`, window.location.href).href;
    this.worker.postMessage({ type: 'load', ...source, engineUrl, realTime: true } satisfies ToWorker);
  }

  fail(message: string): void {
    this.worker.terminate();
    this.picture?.stop();
    this.isReady = false;
    this.loading.hide();
    this.facts.tell('failed');
    showControls(false);
    showProblem(message);
    this.remote.failed(message);
  }

  private receive(message: FromWorker): void {
    switch (message.type) {
      case 'progress':
        this.loading.show(message.stage, message.done, message.total);
        return;
      case 'look':
        void this.draw(message.look);
        return;
      case 'ready':
        this.begin(message.timings);
        return;
      case 'applied':
        this.acknowledge(message.seq);
        return;
      case 'state':
        this.state = message.state;
        this.facts.show(message.state);
        return;
      case 'frame':
        this.picture?.show(message.poses, message.basePos);
        return;
      case 'error':
        this.fail(message.message);
    }
  }

  private begin(timings: Timings): void {
    this.isReady = true;
    this.loading.hide();
    showControls(true);
    this.facts.tell('running');
    this.remote.ready(timings);
    window.setInterval(() => {
      if (this.isReady && this.state) this.remote.state(this.state);
    }, REMOTE_STATE_PERIOD_MS);
  }

  /** The picture is a luxury: without it the robot runs all the same. */
  private async draw(look: Extract<FromWorker, { type: 'look' }>['look']): Promise<void> {
    try {
      const { Picture } = await import('./picture');
      const canvas = byId('view', HTMLCanvasElement);
      this.picture = new Picture(canvas, look, () => this.worker.postMessage({ type: 'look' } satisfies ToWorker));
    } catch (reason) {
      console.info(reason);
      note(`No picture: ${hasWebGl() ? said(reason) : 'this browser has no WebGL'}. The robot runs all the same.`);
      return;
    }
    if (this.run.glbUrl === null) return;
    await this.picture.dress(this.run.glbUrl, this.run.transform).catch((reason: unknown) => {
      note(`The scene's look is missing: ${said(reason)}`);
    });
  }

  private obey({ seq, act }: Control): void {
    if (!this.isReady) {
      this.remote.refuse('The robot is not running yet.', seq);
      return;
    }
    this.remoteSeq = seq;
    if (act === 'reset') this.send({ type: 'reset', seq: this.number() });
    else this.driver.press('remote', act.key, act.isPressed);
    this.remoteSeq = null;
  }

  private send(message: ToWorker): void {
    if (this.isReady) this.worker.postMessage(message);
  }

  private number(): number {
    this.seq += 1;
    if (this.remoteSeq !== null) this.unacknowledged.set(this.seq, this.remoteSeq);
    return this.seq;
  }

  private acknowledge(seq: number): void {
    const remoteSeq = this.unacknowledged.get(seq);
    if (remoteSeq === undefined) return;
    this.unacknowledged.delete(seq);
    this.remote.ack(remoteSeq);
  }
}

function showControls(isShown: boolean): void {
  byId('pad', HTMLElement).hidden = !isShown;
  byId('tools', HTMLElement).hidden = !isShown;
}

function showProblem(message: string): void {
  setText(byId('problem-text', HTMLElement), message);
  byId('problem', HTMLElement).hidden = false;
}

function note(text: string): void {
  const chip = byId('blind', HTMLElement);
  setText(chip, text);
  chip.hidden = false;
}

function said(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

/** `?run=` names it; otherwise it lies below the page's own path. Only this page's own site is asked. */
function runAddress(): string {
  const named = new URLSearchParams(window.location.search).get('run');
  const path = named ?? `${window.location.pathname.replace(/\/+$/, '')}/run.json`;
  const url = parseUrl(path, window.location.href);
  if (url?.origin !== window.location.origin) throw new Error('The run of another site is not opened here.');
  return url.href;
}

async function fetchRun(): Promise<Source> {
  const base = runAddress();
  const response = await fetch(base);
  if (response.status === 404) throw new Error('There is no such run.');
  if (!response.ok) throw new Error(`The run cannot be fetched: the server says ${response.status}.`);
  const run: unknown = await response.json().catch(() => {
    throw new Error('run.json is no JSON.');
  });
  return { run, base };
}

async function main(): Promise<void> {
  const facts = new Facts();
  setData(document.documentElement, 'bare', isBare ? '' : null);
  byId('again', HTMLButtonElement).addEventListener('click', () => window.location.reload());
  try {
    const missing = missingFeature();
    if (missing !== null) throw new Error(missing);
    const source = await fetchRun();
    const run = readRun(source.run, source.base);
    setText(byId('title', HTMLElement), run.title);
    document.title = `${run.title} · lerobot arena`;
    new Run(run, source, facts);
  } catch (reason) {
    const message = said(reason);
    byId('loading', HTMLElement).hidden = true;
    facts.tell('failed');
    showProblem(message);
    new Remote([], () => undefined).failed(message);
  }
}

void main();
