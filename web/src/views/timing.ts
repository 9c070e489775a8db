// SPDX-License-Identifier: Apache-2.0
// Queue depth, ages and durations: of the control cycle from the cycles seen, of the policy from the bridge.

import type { Control, Session } from '../api';
import { byId, create, setData, setText } from '../dom';
import { ABSENT, formatMs, formatName, percentile } from '../format';
import { RollingPlot } from '../plot';
import type { Cycle } from '../wire';

interface Row {
  name: string;
  values: [number | null, number | null, number | null];
}

export class TimingView {
  private readonly panel = byId('timing', HTMLElement);
  private readonly queue = byId('queue', HTMLElement);
  private readonly age = byId('age', HTMLElement);
  private readonly rate = byId('rate', HTMLElement);
  private readonly late = byId('late', HTMLElement);
  private readonly aside = byId('timing-aside', HTMLElement);
  private readonly stages = byId('stages', HTMLElement);
  private readonly plot = new RollingPlot(byId('queue-plot', HTMLElement), {
    lines: [{ colour: '--executed', width: 1.5, fill: '--fill' }],
    minSpan: 10,
    floor: 0,
  });
  private readonly rows = new Map<string, HTMLTableRowElement>();

  render(
    cycles: readonly Cycle[],
    endS: number,
    about: { control: Control | null; session: Session | null; isLive: boolean },
  ): void {
    const { control, session, isLive } = about;
    setData(this.panel, 'stale', isLive ? null : 'true');
    const newest = cycles.at(-1);
    this.plot.show([cycles.map((cycle) => cycle.timestampS), cycles.map((cycle) => cycle.queueSteps)], endS);
    setText(this.queue, newest ? String(newest.queueSteps) : ABSENT);
    const ageS = newest?.actionAgeS;
    setText(this.age, ageS ? formatMs(1000 * ageS) : ABSENT);
    setText(this.rate, control?.rateHz ? control.rateHz.toFixed(0) : ABSENT);
    setText(this.late, control ? String(control.lateCycles) : ABSENT);
    setText(this.aside, newest?.deadlineMs ? `control period ${formatMs(newest.deadlineMs)} ms` : '');
    for (const row of [...cycleRows(cycles), ...policyRows(session)]) this.renderRow(row);
  }

  /** Another arm or session: its stages may have other names. */
  clear(): void {
    this.rows.clear();
    this.stages.replaceChildren();
  }

  private renderRow(row: Row): void {
    let line = this.rows.get(row.name);
    if (!line) {
      line = create('tr');
      const head = create('th', '', formatName(row.name));
      head.scope = 'row';
      line.append(head, ...row.values.map(() => create('td')));
      this.rows.set(row.name, line);
      this.stages.append(line);
    }
    row.values.forEach((value, index) => {
      const cell = line.cells[index + 1];
      if (cell) setText(cell, formatMs(value));
    });
  }
}

function cycleRows(cycles: readonly Cycle[]): Row[] {
  const durations = new Map<string, number[]>();
  for (const cycle of cycles) {
    for (const [stage, duration] of cycle.stagesMs) {
      const known = durations.get(stage);
      if (known) known.push(duration);
      else durations.set(stage, [duration]);
    }
  }
  return Array.from(durations, ([stage, values]) => ({
    name: `cycle: ${stage}`,
    values: [percentile(values, 0.5), percentile(values, 0.95), percentile(values, 0.99)],
  }));
}

function policyRows(session: Session | null): Row[] {
  return (session?.inferenceStages ?? []).map((stage) => ({
    name: `policy: ${stage.name}`,
    values: [stage.p50Ms, stage.p95Ms, stage.p99Ms],
  }));
}
