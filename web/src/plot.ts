// SPDX-License-Identifier: Apache-2.0
// One small rolling uPlot: last WINDOW_S seconds, theme colours from CSS variables, size from its box.

import uPlot from 'uplot';
import { WINDOW_S } from './model';

export interface Line {
  /** CSS custom property that holds the colour. */
  colour: string;
  width: number;
  dash?: number[];
  fill?: string;
}

export interface PlotOptions {
  lines: readonly Line[];
  /** The y axis spans at least this much, so that noise is not blown up. */
  minSpan: number;
  /** Fixed lower end of the y axis; follows the data when absent. */
  floor?: number;
}

const FONT = '11px system-ui, sans-serif';

export class RollingPlot {
  private readonly plot: uPlot;

  constructor(box: HTMLElement, options: PlotOptions) {
    this.plot = new uPlot(uplotOptions(box, options), [[], ...options.lines.map(() => [])], box);
    new ResizeObserver(() => this.plot.setSize(sizeOf(box))).observe(box);
  }

  /** Show columns (times, then one per line) up to `endS`: when nothing new comes, the lines run out to the left. */
  show(columns: (number | null)[][], endS: number): void {
    this.plot.batch(() => {
      this.plot.setData(columns as uPlot.AlignedData, false);
      this.plot.setScale('x', { min: endS - WINDOW_S, max: endS });
    });
  }
}

function uplotOptions(box: HTMLElement, options: PlotOptions): uPlot.Options {
  return {
    ...sizeOf(box),
    padding: [6, 4, 4, 0],
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { time: false },
      y: { range: (_, min, max) => padded(min, max, options) },
    },
    axes: [
      { show: false },
      {
        size: 34,
        gap: 3,
        font: FONT,
        space: 26,
        stroke: () => colour('--muted'),
        grid: { stroke: () => colour('--grid'), width: 1 },
        ticks: { show: false },
      },
    ],
    series: [
      {},
      ...options.lines.map((line): uPlot.Series => ({
        stroke: () => colour(line.colour),
        width: line.width,
        points: { show: false },
        spanGaps: false,
        ...(line.dash ? { dash: line.dash } : {}),
        ...(line.fill ? { fill: () => colour(line.fill ?? '') } : {}),
      })),
    ],
  };
}

function padded(min: number | null, max: number | null, options: PlotOptions): [number, number] {
  const low = options.floor ?? min ?? 0;
  const high = Math.max(max ?? low, low);
  const missing = Math.max(0, options.minSpan - (high - low));
  const margin = 0.06 * (high - low);
  if (options.floor !== undefined) return [low, high + missing + margin];
  return [low - missing / 2 - margin, high + missing / 2 + margin];
}

function sizeOf(box: HTMLElement): { width: number; height: number } {
  return { width: Math.max(box.clientWidth, 40), height: Math.max(box.clientHeight, 40) };
}

function colour(variable: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
