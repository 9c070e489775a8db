// SPDX-License-Identifier: Apache-2.0
// All the page knows, when it learnt it, and what may be concluded from the ages.

import type { Arm, Control, Session } from './api';
import type { Cycle, Task } from './wire';

/** How long cycles are kept for the plots and figures. */
export const WINDOW_S = 10;
const MAX_CYCLES = 1200;
/** A guard that does not run still sends 5 cycles a second. */
export const CYCLE_STALE_MS = 1500;
export const FRAME_STALE_MS = 1500;
const REST_STALE_MS = 6000;
/** How long the first word may take before its absence is worth a warning. */
const CONNECT_MS = 4000;

export interface Timed<T> {
  value: T;
  /** performance.now() of its receipt. */
  at: number;
}

export type Health = 'connecting' | 'offline' | 'silent' | 'live';

export class Model {
  arms: Arm[] = [];
  arm: string | null = null;
  sessionId: string | null = null;
  /** A person picked the session; otherwise the page shows the one that runs. */
  isSessionPicked = false;
  sessions: Session[] = [];
  control: Timed<Control> | null = null;
  /** The newest live cycle; replayed history is only in `cycles`. */
  live: Timed<Cycle> | null = null;
  /** Oldest first, no older than WINDOW_S before the newest. */
  cycles: Cycle[] = [];
  task: Task | null = null;
  isSocketOpen = false;
  /** The bridge asks who one is; nothing is known until then. */
  isLoginNeeded = false;
  /** Whether the last request was answered; null before the first outcome. */
  isRestUp: boolean | null = null;

  /** Take in a cycle; false when it was known already. */
  addCycle(cycle: Cycle, now: number): boolean {
    const newest = this.cycles.at(-1);
    if (newest && cycle.timestampS <= newest.timestampS) {
      // Replayed again after a reconnect, unless the guard's clock was set back.
      if (cycle.isReplay) return false;
      this.cycles = [];
    }
    this.cycles.push(cycle);
    const oldest = cycle.timestampS - WINDOW_S;
    const keep = this.cycles.findIndex((kept) => kept.timestampS >= oldest);
    if (keep > 0) this.cycles.splice(0, Math.max(keep, this.cycles.length - MAX_CYCLES));
    if (cycle.task) this.task = cycle.task;
    if (!cycle.isReplay) this.live = { value: cycle, at: now };
    return true;
  }

  /** Forget everything: it was shown to somebody who has logged out. */
  forget(): void {
    this.chooseArm('');
    this.arm = null;
    this.arms = [];
    this.sessions = [];
    this.isRestUp = true;
  }

  /** Forget everything about the arm that was on show. */
  chooseArm(arm: string): void {
    if (arm === this.arm) return;
    this.arm = arm;
    this.sessionId = null;
    this.isSessionPicked = false;
    this.control = null;
    this.live = null;
    this.cycles = [];
    this.task = null;
  }

  /** `offline`: no bridge. `silent`: a bridge, but no word from the guard. Only `live` may look live. */
  health(now: number): Health {
    if (this.live && now - this.live.at < CYCLE_STALE_MS) return 'live';
    if (!this.isSocketOpen && this.isRestUp === false) return 'offline';
    return this.live || now > CONNECT_MS ? 'silent' : 'connecting';
  }

  /** Seconds since the guard's last word; since the page opened when there was none. */
  silenceS(now: number): number {
    return (now - (this.live?.at ?? 0)) / 1000;
  }

  /** The guard's state as far as it is known now: from the stream, else from the last poll; empty when neither is fresh. */
  state(now: number): string {
    const control = this.freshControl(now);
    const cycle = this.live && now - this.live.at < CYCLE_STALE_MS ? this.live.value : null;
    // The latch may be the embodiment's alone, which the guard's cycles do not tell.
    if (control?.isLatched || cycle?.state === 'emergency') return 'emergency';
    return cycle?.state ?? control?.state ?? '';
  }

  /** The last control status, unless it is old. */
  freshControl(now: number): Control | null {
    return this.control && now - this.control.at < REST_STALE_MS ? this.control.value : null;
  }

  /** Sessions of the arm on show. */
  sessionsHere(): Session[] {
    return this.sessions.filter((session) => session.arm === this.arm);
  }

  /** Keep the picked session while it exists; else the running one, the one on show, the first. */
  chooseSession(): void {
    const here = this.sessionsHere();
    const shown = here.find((session) => session.id === this.sessionId);
    if (shown && this.isSessionPicked) return;
    this.isSessionPicked = false;
    this.sessionId = (here.find((session) => session.status === 'running') ?? shown ?? here[0])?.id ?? null;
  }

  session(): Session | null {
    return this.sessionsHere().find((session) => session.id === this.sessionId) ?? null;
  }
}
