// SPDX-License-Identifier: Apache-2.0
// What is being fetched, how much of it is there, and what comes after.

import { byId, create, setData, setText } from '../src/dom';
import type { Stage } from './protocol';

const STAGES: readonly (readonly [Stage, string])[] = [
  ['engine', 'Physics and network engines'],
  ['robot', 'Robot'],
  ['policy', 'Policy'],
  ['compile', 'Compile the robot'],
  ['start', 'Load the policy'],
];

interface Row {
  item: HTMLElement;
  amount: HTMLElement;
  bar: HTMLProgressElement | null;
}

export class Loading {
  private readonly card = byId('loading', HTMLElement);
  private readonly rows = new Map<Stage, Row>();

  constructor() {
    const list = byId('stages', HTMLOListElement);
    for (const [stage, text] of STAGES) {
      const item = create('li');
      const amount = create('span', 'amount');
      item.append(create('span', '', text), amount);
      const bar = stage === 'compile' || stage === 'start' ? null : create('progress');
      if (bar) {
        bar.setAttribute('aria-label', text);
        bar.value = 0;
        item.append(bar);
      }
      list.append(item);
      this.rows.set(stage, { item, amount, bar });
    }
  }

  show(stage: Stage, done: number, total: number): void {
    const row = this.rows.get(stage);
    if (!row) return;
    // Compiling begins when everything is there, and loading the policy when the robot is compiled.
    if (!row.bar) this.finishBefore(stage);
    setData(row.item, 'state', 'now');
    if (row.bar) this.fill(row, done, total);
    else setText(row.amount, '…');
  }

  hide(): void {
    this.card.hidden = true;
  }

  private fill(row: Row, done: number, total: number): void {
    setText(row.amount, total > 0 ? `${amount(done)} of ${amount(total)}` : amount(done));
    if (total > 0) row.bar?.setAttribute('value', String(done / total));
    else row.bar?.removeAttribute('value');
    if (total > 0 && done >= total) setData(row.item, 'state', 'done');
  }

  private finishBefore(stage: Stage): void {
    for (const [earlier, row] of this.rows) {
      if (earlier === stage) return;
      setData(row.item, 'state', 'done');
      row.bar?.setAttribute('value', '1');
      if (!row.bar) setText(row.amount, '');
    }
  }
}

function amount(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
