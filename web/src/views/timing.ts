// SPDX-License-Identifier: Apache-2.0
// Queue depth, ages, and how long each stage of the policy and of the control cycle takes.

import type { Control, Session, Stage } from '../api';
import { byId, create, setData, setText } from '../dom';
import { ABSENT, formatMs, formatName } from '../format';
import { RollingPlot } from '../plot';
import type { Cycle } from '../wire';

export class TimingView {
  private readonly panel = byId('timing', HTMLElement);
  private readonly queue = byId('queue', HTMLElement);
  private readonly age = byId('age', HTMLElement);
  private readonly rate = byId('rate', HTMLElement);
  private readonly late = byId('late', HTMLElement);
  private readonly aside = byId('timing-aside', HTMLElement);
  private readonly policy = new StageRows('policy', byId('policy-stages', HTMLTableSectionElement));
  private readonly guard = new StageRows('guard', byId('guard-stages', HTMLTableSectionElement));
  private readonly plot = new RollingPlot(byId('queue-plot', HTMLElement), {
    lines: [{ colour: '--executed', width: 1.5, fill: '--fill' }],
    minSpan: 10,
    floor: 0,
  });

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
    setText(this.late, session?.lateCycles == null ? ABSENT : String(session.lateCycles));
    setText(this.aside, newest?.deadlineMs ? `control period ${formatMs(newest.deadlineMs)} ms` : '');
    this.policy.render(session?.policyStages ?? []);
    this.guard.render(session?.guardStages ?? []);
  }

  /** Another arm or session: its stages may have other names. */
  clear(): void {
    this.policy.clear();
    this.guard.clear();
  }
}

/** The lines of one table body, by stage. */
class StageRows {
  private readonly rows = new Map<string, HTMLTableRowElement>();

  constructor(
    private readonly where: string,
    private readonly body: HTMLTableSectionElement,
  ) {}

  render(stages: readonly Stage[]): void {
    for (const stage of stages) this.renderRow(stage);
  }

  clear(): void {
    this.rows.clear();
    this.body.replaceChildren();
  }

  private renderRow(stage: Stage): void {
    const line = this.rows.get(stage.name) ?? this.addRow(stage.name);
    [stage.p50Ms, stage.p95Ms, stage.p99Ms].forEach((value, index) => {
      const cell = line.cells[index + 1];
      if (cell) setText(cell, formatMs(value));
    });
  }

  private addRow(stage: string): HTMLTableRowElement {
    const line = create('tr');
    const head = create('th', '', `${this.where}: ${formatName(stage)}`);
    head.scope = 'row';
    line.append(head, create('td'), create('td'), create('td'));
    this.rows.set(stage, line);
    this.body.append(line);
    return line;
  }
}
