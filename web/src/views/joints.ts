// SPDX-License-Identifier: Apache-2.0
// Per joint: what the policy proposed, what the guard executed, what the arm measured.

import { byId, create, setData, setText } from '../dom';
import { formatJoint, formatName } from '../format';
import { RollingPlot, type Line } from '../plot';
import type { Cycle, Joints } from '../wire';

const DEGREES_PER_RADIAN = 180 / Math.PI;
/** Cycles further apart than this are not joined by a line. */
const GAP_S = 0.6;
/** A change by the guard smaller than this (in the unit shown) is rounding, not an intervention. */
const VISIBLE_CHANGE = 0.05;
const MIN_SPAN = 12;

const LINES: readonly Line[] = [
  { colour: '--measured', width: 4 },
  { colour: '--executed', width: 2 },
  { colour: '--proposed', width: 1.5, dash: [4, 4] },
];
const COLUMNS = ['measured', 'executed', 'proposed'] as const;

interface JointPlot {
  plot: RollingPlot;
  value: HTMLElement;
  change: HTMLElement;
}

export class JointsView {
  private readonly panel = byId('joints', HTMLElement);
  private readonly box = byId('plots', HTMLElement);
  private readonly unit = byId('joints-unit', HTMLElement);
  private shown = '';
  private plots: JointPlot[] = [];

  /** `endS`: what the guard's clock should say now. */
  render(cycles: readonly Cycle[], endS: number, isLive: boolean): void {
    setData(this.panel, 'stale', isLive ? null : 'true');
    const newest = cycles.at(-1)?.joints;
    if (!newest || newest.names.length === 0) return;
    this.rebuild(newest);
    const scale = newest.unit === 'radians' ? DEGREES_PER_RADIAN : 1;
    const same = cycles.filter((cycle) => cycle.joints.names.join() === newest.names.join());
    this.plots.forEach((joint, index) => {
      joint.plot.show(columnsOf(same, index, scale), endS);
      renderValue(joint, newest, index, scale);
    });
  }

  private rebuild(joints: Joints): void {
    const wanted = `${joints.names.join()} ${joints.unit}`;
    if (wanted === this.shown) return;
    this.shown = wanted;
    setText(this.unit, `${unitLabel(joints.unit)}, last 10 s`);
    this.box.replaceChildren();
    this.plots = joints.names.map((name) => this.addPlot(name));
  }

  private addPlot(name: string): JointPlot {
    const figure = create('figure', 'joint');
    const caption = create('figcaption');
    const value = create('b', 'value');
    const change = create('span', 'change');
    caption.append(create('span', 'name', formatName(name)), change, value);
    const canvas = create('div', 'plot');
    canvas.role = 'img';
    canvas.ariaLabel = `${formatName(name)}: proposed, executed and measured over the last 10 seconds`;
    figure.append(caption, canvas);
    this.box.append(figure);
    return { plot: new RollingPlot(canvas, { lines: LINES, minSpan: MIN_SPAN }), value, change };
  }
}

function columnsOf(cycles: readonly Cycle[], index: number, scale: number): (number | null)[][] {
  const columns: (number | null)[][] = [[], [], [], []];
  let previousS = -Infinity;
  for (const { joints, timestampS } of cycles) {
    if (timestampS - previousS > GAP_S && previousS > 0) {
      columns.forEach((column, line) => column.push(line === 0 ? (previousS + timestampS) / 2 : null));
    }
    columns[0]?.push(timestampS);
    COLUMNS.forEach((key, line) => columns[line + 1]?.push(valueOf(joints, key, index, scale)));
    previousS = timestampS;
  }
  return columns;
}

function valueOf(joints: Joints, key: (typeof COLUMNS)[number], index: number, scale: number): number | null {
  const value = joints[key]?.[index];
  return value === undefined || Number.isNaN(value) ? null : value * scale;
}

function renderValue(joint: JointPlot, joints: Joints, index: number, scale: number): void {
  setText(joint.value, formatJoint(valueOf(joints, 'measured', index, scale)));
  const proposed = valueOf(joints, 'proposed', index, scale);
  const executed = valueOf(joints, 'executed', index, scale);
  const change = proposed === null || executed === null ? 0 : executed - proposed;
  const isChanged = Math.abs(change) >= VISIBLE_CHANGE;
  setText(joint.change, isChanged ? `guard ${change > 0 ? '+' : '−'}${Math.abs(change).toFixed(1)}` : '');
}

function unitLabel(unit: string): string {
  if (unit === 'radians') return 'degrees';
  return unit === 'normalized' ? '−100 to 100, gripper 0 to 100' : unit;
}
