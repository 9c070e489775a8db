// SPDX-License-Identifier: Apache-2.0
// Control from the page that frames this one: `runrobot:control` in, `runrobot:ack|ready|state|error` out.

import { parseUrl } from '../src/address';
import { KEYS, type Key } from './keys';
import type { State, Timings } from './protocol';

export interface Control {
  seq: number;
  act: { key: Key; isPressed: boolean } | 'reset';
}

const PROTOCOL_VERSION = 1;

export class Remote {
  private readonly frame = window.parent === window ? null : window.parent;
  private origin: string | null;
  /** How the run is, for a page that could not be told before it spoke. */
  private standing: Record<string, unknown> | null = null;

  /** `origins` may control besides this page's own. */
  constructor(origins: readonly string[], onControl: (control: Control) => void) {
    const allowed = [window.location.origin, ...origins];
    const parent = parentOrigin();
    this.origin = parent !== null && allowed.includes(parent) ? parent : null;
    window.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (this.frame === null || event.source !== this.frame || !allowed.includes(event.origin)) return;
      if (typeof event.data !== 'object' || event.data === null) return;
      this.origin = event.origin;
      const message = event.data as Record<string, unknown>;
      if (message['type'] === 'runrobot:hello' && this.standing !== null) this.tell(this.standing);
      if (message['type'] !== 'runrobot:control') return;
      const control = readControl(message);
      if (control === null) this.refuse('This control message cannot be understood.', message['seq']);
      else onControl(control);
    });
  }

  ack(seq: number): void {
    this.tell({ type: 'runrobot:ack', seq });
  }

  ready(timings: Timings): void {
    this.standing = { type: 'runrobot:ready', timings };
    this.tell(this.standing);
  }

  state(state: State): void {
    this.tell({
      type: 'runrobot:state',
      t: state.timeS,
      base_pos: state.basePos,
      distance: state.distanceM,
      fell: state.fell,
      rtf: state.realTimeFactor,
    });
  }

  /** The run has ended. */
  failed(message: string): void {
    this.standing = { type: 'runrobot:error', message };
    this.tell(this.standing);
  }

  /** A control message is not obeyed; the run goes on. */
  refuse(message: string, seq: unknown): void {
    this.tell({ type: 'runrobot:error', message, ...(typeof seq === 'number' ? { seq } : {}) });
  }

  private tell(message: Record<string, unknown>): void {
    if (this.frame !== null && this.origin !== null) this.frame.postMessage({ version: PROTOCOL_VERSION, ...message }, this.origin);
  }
}

function readControl(message: Readonly<Record<string, unknown>>): Control | null {
  const { version = PROTOCOL_VERSION, seq, action } = message;
  if (version !== PROTOCOL_VERSION || typeof seq !== 'number' || typeof action !== 'string') return null;
  if (action === 'reset') return { seq, act: 'reset' };
  const [name, verb] = action.split('-');
  const key = KEYS.find((known) => known === name);
  if (!key || (verb !== 'press' && verb !== 'release')) return null;
  return { seq, act: { key, isPressed: verb === 'press' } };
}

/** Where the framing page comes from, before it has said anything. */
function parentOrigin(): string | null {
  const ancestors = window.location.ancestorOrigins;
  if (ancestors && ancestors.length > 0) return ancestors[0] ?? null;
  return parseUrl(document.referrer)?.origin ?? null;
}
