// SPDX-License-Identifier: Apache-2.0
// Ratings and their intervals, one line each, as SVG: attributes and classes only, for there may be no inline style.

import type { Entry } from './board';

const NAMESPACE = 'http://www.w3.org/2000/svg';
const CENTRE = 1500;
const LINE_PX = 34;
const TOP_PX = 8;
const AXIS_PX = 28;
const EDGE_PX = 26;
const LEAST_SPAN = 200;
const TICK_PX = 90;
const LETTER_PX = 9.2;

export class RatingPlot {
  private entries: readonly Entry[] = [];
  private winner: string | null = null;

  constructor(private readonly box: HTMLElement) {
    new ResizeObserver(() => this.draw()).observe(box);
  }

  show(entries: readonly Entry[], winner: string | null): void {
    this.entries = entries;
    this.winner = winner;
    this.draw();
  }

  private draw(): void {
    const width = this.box.clientWidth;
    if (width === 0 || this.entries.length === 0) return;
    const nameWidth = Math.min(220, Math.round(width * 0.32));
    const height = TOP_PX + LINE_PX * this.entries.length + AXIS_PX;
    const [low, high] = span(this.entries);
    const at = (rating: number): number => nameWidth + EDGE_PX + ((rating - low) / (high - low)) * (width - nameWidth - 2 * EDGE_PX);
    const picture = element('svg', { width, height, viewBox: `0 0 ${width} ${height}`, 'aria-hidden': 'true' });
    for (const tick of ticks(low, high, (width - nameWidth) / TICK_PX)) {
      const isCentre = tick === CENTRE;
      picture.append(line(at(tick), TOP_PX, at(tick), height - AXIS_PX, isCentre ? 'centre' : 'grid'));
      picture.append(text(at(tick), height - 8, String(tick), 'tick', 'middle'));
    }
    this.entries.forEach((entry, index) => picture.append(this.row(entry, TOP_PX + LINE_PX * (index + 0.5), nameWidth, at)));
    this.box.replaceChildren(picture);
  }

  private row(entry: Entry, y: number, nameWidth: number, at: (rating: number) => number): SVGElement {
    const row = element('g', { class: entry.ref === this.winner ? 'row winner' : 'row' });
    // As wide as letters of this size are at most, on average.
    const letters = Math.max(6, Math.floor(nameWidth / LETTER_PX));
    const name = text(nameWidth, y + 5, entry.title.length > letters ? `${entry.title.slice(0, letters - 1)}…` : entry.title, 'name', 'end');
    const tip = element('title', {});
    tip.textContent = `${entry.title}: ${describe(entry)}`;
    row.append(tip, name);
    if (entry.low !== null && entry.high !== null) {
      row.append(line(at(entry.low), y, at(entry.high), y, 'interval'));
      for (const end of [entry.low, entry.high]) row.append(line(at(end), y - 6, at(end), y + 6, 'interval'));
    }
    row.append(element('circle', { class: entry.low === null ? 'dot unsure' : 'dot', cx: at(entry.rating), cy: y, r: 5.5 }));
    return row;
  }
}

/** For people, and for those who hear the page. */
export function describe(entry: Entry): string {
  const interval = entry.low === null || entry.high === null ? 'too few voters for an interval' : `${entry.low.toFixed(0)} to ${entry.high.toFixed(0)}`;
  return `${entry.rating.toFixed(0)}, ${interval}`;
}

function span(entries: readonly Entry[]): [number, number] {
  const values = entries.flatMap((entry) => [entry.rating, entry.low ?? entry.rating, entry.high ?? entry.rating]);
  const low = Math.min(CENTRE, ...values);
  const high = Math.max(CENTRE, ...values);
  const missing = Math.max(0, LEAST_SPAN - (high - low)) / 2;
  return [low - missing, high + missing];
}

/** Round steps away from the centre, about as many as there is room for. */
function ticks(low: number, high: number, room: number): number[] {
  const wanted = (high - low) / Math.max(2, room);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= wanted) ?? 10);
  const first = Math.ceil((low - CENTRE) / step);
  const last = Math.floor((high - CENTRE) / step);
  return Array.from({ length: last - first + 1 }, (_, index) => Math.round(CENTRE + (first + index) * step));
}

function element(name: string, attributes: Readonly<Record<string, string | number>>): SVGElement {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  return made;
}

function line(x1: number, y1: number, x2: number, y2: number, kind: string): SVGElement {
  return element('line', { x1, y1, x2, y2, class: kind });
}

function text(x: number, y: number, content: string, kind: string, anchor: string): SVGElement {
  const made = element('text', { x, y, class: kind, 'text-anchor': anchor });
  made.textContent = content;
  return made;
}
