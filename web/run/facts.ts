// SPDX-License-Identifier: Apache-2.0
// The line below the picture: facts, no reward.

import { byId, setData, setText } from '../src/dom';
import { formatMs } from '../src/format';
import { isBare } from './bare';
import type { State } from './protocol';

const SLOW = 0.9;
const SETTLED_S = 2;

/** Also tells the bar's pill how the run goes. */
export class Facts {
  private readonly status = byId('status', HTMLElement);
  private readonly time = byId('time', HTMLElement);
  private readonly factor = byId('factor', HTMLElement);
  private readonly tick = byId('tick', HTMLElement);
  private readonly position = byId('position', HTMLElement);
  private readonly distance = byId('distance', HTMLElement);
  private readonly fell = byId('fell', HTMLElement);

  show(state: State): void {
    const isSlow = state.realTimeFactor < SLOW && state.timeS > SETTLED_S;
    setText(this.time, `${signed(state.timeS, 1)} s`);
    setText(this.factor, `${signed(state.realTimeFactor, 2)} ×`);
    setData(this.factor, 'tone', isSlow ? 'warn' : null);
    if (!isBare) setText(this.tick, `${formatMs(state.tickMs)} ms`);
    setText(this.position, `${state.basePos.map((value) => signed(value, 2)).join('  ')} m`);
    setText(this.distance, `${signed(state.distanceM, 2)} m`);
    setText(this.fell, state.fell ? 'yes' : 'no');
    setData(this.fell, 'tone', state.fell ? 'warn' : null);
    this.tell(state.fell ? 'fell' : isSlow ? 'slow' : 'running');
  }

  tell(state: 'loading' | 'running' | 'slow' | 'fell' | 'failed'): void {
    setData(this.status, 'state', state);
    setText(this.status, state === 'slow' ? 'too slow' : state);
  }
}

/** Fixed decimals and a true minus; never -0. */
export function signed(value: number, decimals: number): string {
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace('-', '') : text.replace('-', '−');
}
