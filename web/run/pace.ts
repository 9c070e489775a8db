// SPDX-License-Identifier: Apache-2.0
// Real time from a worker's own clock. Neither a hidden page nor a slow picture slows it down.

const LONGEST_BACKLOG_MS = 200;
const FACTOR_WINDOW_MS = 2_000;
const COST_WINDOW_MS = 1_000;

interface Tick {
  atMs: number;
  costMs: number;
}

/** When the next control period is due, and how well that works. */
export class Pace {
  private dueMs = 0;
  private ticks: Tick[] = [];

  constructor(private readonly tickS: number) {}

  start(): void {
    this.dueMs = performance.now();
    this.ticks = [];
  }

  /** Note a tick that took `costMs`, and rest until the next is due. Always lets messages in. */
  async rest(costMs: number): Promise<void> {
    const nowMs = performance.now();
    this.ticks.push({ atMs: nowMs, costMs });
    while (this.ticks[0] && this.ticks[0].atMs < nowMs - FACTOR_WINDOW_MS) this.ticks.shift();
    // What cannot be caught up is dropped: a robot that runs after a long pause at double speed is of no use.
    this.dueMs = Math.max(this.dueMs + this.tickS * 1000, nowMs - LONGEST_BACKLOG_MS);
    await wait(this.dueMs - nowMs);
  }

  /** How much of the time between the last tick and the next has passed, 0–1. */
  share(): number {
    const leftMs = this.dueMs - performance.now();
    return Math.min(1, Math.max(0, 1 - leftMs / (this.tickS * 1000)));
  }

  /** Simulated per real time, since the first tick of the last two seconds. */
  realTimeFactor(): number {
    const [first] = this.ticks;
    if (!first) return 0;
    const passedMs = performance.now() - first.atMs;
    return passedMs > 0 ? ((this.ticks.length - 1) * this.tickS * 1000) / passedMs : 0;
  }

  /** Mean of the last second. */
  tickMs(): number {
    const sinceMs = performance.now() - COST_WINDOW_MS;
    const recent = this.ticks.filter((tick) => tick.atMs >= sinceMs);
    return recent.reduce((sum, tick) => sum + tick.costMs, 0) / Math.max(1, recent.length);
  }
}

const channel = new MessageChannel();
const waiting: (() => void)[] = [];
channel.port1.onmessage = () => waiting.shift()?.();

/** Below two milliseconds no timer is precise; a message comes at once, after those that wait already. */
function wait(ms: number): Promise<void> {
  return new Promise((resolve) => {
    if (ms > 2) {
      setTimeout(resolve, ms);
      return;
    }
    waiting.push(resolve);
    channel.port2.postMessage(null);
  });
}
