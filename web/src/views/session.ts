// SPDX-License-Identifier: Apache-2.0
// Which session, its state, Start and Stop.

import type { Session } from '../api';
import { byId, setData, setOptions, setText } from '../dom';
import { ABSENT } from '../format';

export interface SessionActions {
  choose(sessionId: string): void;
  start(): void;
  stop(): void;
  pause(): void;
  resume(): void;
}

export class SessionView {
  private readonly select = byId('session', HTMLSelectElement);
  private readonly status = byId('session-status', HTMLElement);
  private readonly start = byId('start', HTMLButtonElement);
  private readonly pause = byId('pause', HTMLButtonElement);
  private readonly stop = byId('stop', HTMLButtonElement);
  private isPaused = false;

  constructor(actions: SessionActions) {
    this.select.addEventListener('change', () => actions.choose(this.select.value));
    this.start.addEventListener('click', () => actions.start());
    this.pause.addEventListener('click', () => (this.isPaused ? actions.resume() : actions.pause()));
    this.stop.addEventListener('click', () => actions.stop());
  }

  /** `pending`: the verb that is under way. A status that may be old carries a question mark. */
  render(sessions: readonly Session[], session: Session | null, now: { pending: string; state: string; isLive: boolean }): void {
    const { pending, state, isLive } = now;
    setOptions(this.select, sessions.map((entry) => entry.id), session?.id ?? null);
    this.select.disabled = sessions.length < 2;
    this.isPaused = state === 'paused';
    // A session has no word for it: to its clients a pause is a part of running.
    const shown = this.isPaused && session?.status === 'running' ? 'paused' : session?.status;
    const status = pending || shown || ABSENT;
    setText(this.status, isLive || !session || pending ? status : `${status} ?`);
    setData(this.status, 'status', isLive ? status : 'unknown');
    this.start.disabled = !session || pending !== '' || session.status === 'running' || state === 'emergency';
    setText(this.pause, this.isPaused ? 'Resume' : 'Pause');
    setData(this.pause, 'wanted', this.isPaused ? 'true' : null);
    this.pause.disabled = pending !== '' || !(this.isPaused || state === 'running');
    this.stop.disabled = !session || pending === 'stopping';
  }
}
