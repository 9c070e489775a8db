// SPDX-License-Identifier: Apache-2.0
// What is being fetched, how much of it is there, and what comes after.

import { byId, create, setData, setText } from '../src/dom';
import { isBare } from './bare';
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
  private readonly stages: Stages | Sum;

  constructor() {
    const list = byId('stages', HTMLOListElement);
    this.stages = isBare ? new Sum(list) : new Stages(list);
  }

  show(stage: Stage, done: number, total: number): void {
    this.stages.show(stage, done, total);
  }

  hide(): void {
    this.card.hidden = true;
  }
}

/** One bar for all downloads together: what the policy alone weighs stays unsaid. */
class Sum {
  private readonly bar = progress('Loading');
  private readonly known = new Map<Stage, readonly [number, number]>();

  constructor(list: HTMLOListElement) {
    list.replaceWith(this.bar);
  }

  show(stage: Stage, done: number, total: number): void {
    if (total > 0 && stage !== 'compile' && stage !== 'start') this.known.set(stage, [done, total]);
    // By far the most of it; shares of the rest alone would run ahead.
    if (!this.known.has('engine')) return;
    const sums = [...this.known.values()].reduce(([a, b], [c, d]) => [a + c, b + d]);
    this.bar.value = sums[0] / sums[1];
  }
}

/** A row for each, with a bar and an amount. */
class Stages {
  private readonly rows = new Map<Stage, Row>();

  constructor(list: HTMLOListElement) {
    for (const [stage, text] of STAGES) {
      const item = create('li');
      const amount = create('span', 'amount');
      item.append(create('span', '', text), amount);
      const bar = stage === 'compile' || stage === 'start' ? null : progress(text);
      if (bar) item.append(bar);
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

function progress(label: string): HTMLProgressElement {
  const bar = create('progress');
  bar.setAttribute('aria-label', label);
  bar.value = 0;
  return bar;
}

function amount(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
