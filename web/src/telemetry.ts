// SPDX-License-Identifier: Apache-2.0
// The telemetry socket of one arm: reconnects by itself, and is closed while nobody looks at the page.

import { socketTicket } from './account';
import { credential } from './credential';
import { RequestFailed } from './rest';
import { parseCycle, parseFrame, type Cycle, type Frame } from './wire';

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 3000;
/** A socket that is open and brings nothing for this long is taken for dead: a guard alone sends 5 cycles a second. */
const SILENCE_MS = 8000;
const FRAMES_PER_S = 15;
const CYCLES_PER_S = 20;

export interface TelemetryListener {
  onCycle(cycle: Cycle): void;
  onFrame(frame: Frame): void;
}

export class Telemetry {
  private socket: WebSocket | null = null;
  private retryMs = FIRST_RETRY_MS;
  private timer = 0;
  /** Counts tickets asked for, so that a late one opens nothing. */
  private asked = 0;
  private lastMessageAt = 0;
  private arm: string | null = null;
  private cameras: readonly string[] = [];

  constructor(private readonly listener: TelemetryListener) {
    document.addEventListener('visibilitychange', () => this.reopen());
    window.setInterval(() => this.dropWhenSilent(), 1000);
  }

  get isOpen(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  /** Follow this arm and these cameras; nothing happens when they are followed already. */
  follow(arm: string, cameras: readonly string[]): void {
    if (arm === this.arm && cameras.join() === this.cameras.join()) return;
    this.arm = arm;
    this.cameras = cameras;
    this.reopen();
  }

  /** Follow nobody, as after a log-out. */
  forget(): void {
    this.arm = null;
    this.close();
  }

  private reopen(): void {
    this.retryMs = FIRST_RETRY_MS;
    this.close();
    if (!document.hidden) this.open();
  }

  private open(): void {
    if (!credential.name) this.openWith('');
    else void this.openWithTicket(++this.asked);
  }

  private async openWithTicket(asked: number): Promise<void> {
    try {
      const ticket = await socketTicket();
      if (asked === this.asked) this.openWith(ticket);
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      if (asked === this.asked) this.waitToRetry();
    }
  }

  private openWith(ticket: string): void {
    if (this.arm === null) return;
    const query = new URLSearchParams({
      arm: this.arm,
      cameras: this.cameras.join(),
      fps: String(FRAMES_PER_S),
      rate_hz: String(CYCLES_PER_S),
      perf: 'true',
    });
    if (ticket) query.set('ticket', ticket);
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/ws/telemetry?${query}`);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => {
      this.retryMs = FIRST_RETRY_MS;
    };
    socket.onmessage = (event: MessageEvent<unknown>) => this.receive(event.data);
    socket.onclose = () => this.retryLater(socket);
    this.socket = socket;
    this.lastMessageAt = performance.now();
  }

  private receive(data: unknown): void {
    this.lastMessageAt = performance.now();
    if (data instanceof ArrayBuffer) {
      const frame = parseFrame(data);
      if (frame) this.listener.onFrame(frame);
    } else if (typeof data === 'string') {
      const cycle = parseCycle(data);
      if (cycle) this.listener.onCycle(cycle);
    }
  }

  private retryLater(socket: WebSocket): void {
    if (socket !== this.socket) return;
    this.socket = null;
    this.waitToRetry();
  }

  private waitToRetry(): void {
    this.timer = window.setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(2 * this.retryMs, LAST_RETRY_MS);
  }

  private dropWhenSilent(): void {
    if (this.socket && performance.now() - this.lastMessageAt > SILENCE_MS) this.reopen();
  }

  private close(): void {
    window.clearTimeout(this.timer);
    this.asked++;
    const socket = this.socket;
    this.socket = null;
    if (!socket) return;
    socket.onmessage = null;
    socket.close();
  }
}
