// SPDX-License-Identifier: Apache-2.0
// The table of ratings, and who was preferred to whom.

import { refLink } from '../pages/link';
import { create, setData } from '../src/dom';
import { ABSENT } from '../src/format';
import type { Board, Entry, Wins } from './board';

const SHARES = 10;

export function fillTable(body: HTMLTableSectionElement, board: Board): void {
  body.replaceChildren(...board.entries.map((entry, index) => row(entry, index + 1, entry.ref === board.winner)));
}

/** Rows won, columns lost. Numbers on top are ranks. */
export function fillMatrix(table: HTMLTableElement, entries: readonly Entry[], wins: Wins): void {
  const head = create('tr');
  head.append(create('td'), ...entries.map((entry, index) => heading(`${index + 1}`, entry.title, 'col')));
  const rows = entries.map((entry, index) => {
    const line = create('tr');
    line.append(heading(`${index + 1}  ${entry.title}`, entry.ref, 'row'), ...entries.map((other) => cell(entry, other, wins)));
    return line;
  });
  const top = create('thead');
  const body = create('tbody');
  top.append(head);
  body.append(...rows);
  table.tHead?.remove();
  for (const old of Array.from(table.tBodies)) old.remove();
  table.append(top, body);
}

function row(entry: Entry, rank: number, isWinner: boolean): HTMLTableRowElement {
  const line = create('tr');
  const name = create('th', 'policy');
  name.scope = 'row';
  name.append(refLink(entry.ref, entry.title));
  if (entry.title !== entry.ref) name.append(create('span', 'ref', entry.ref));
  if (isWinner) name.append(create('span', 'pill best', 'winner'));
  const interval = entry.low === null || entry.high === null ? ABSENT : `${entry.low.toFixed(0)} – ${entry.high.toFixed(0)}`;
  const numbers = [entry.rating.toFixed(0), interval, entry.wins, entry.losses, entry.ties, entry.votes];
  line.append(create('td', 'rank', String(rank)), name, ...numbers.map((value, index) => create('td', index === 0 ? 'rating' : '', String(value))));
  return line;
}

function cell(entry: Entry, other: Entry, wins: Wins): HTMLTableCellElement {
  const won = wins.get(entry.ref)?.get(other.ref) ?? 0;
  const games = won + (wins.get(other.ref)?.get(entry.ref) ?? 0);
  if (entry === other || games === 0) return create('td', entry === other ? 'self' : '', entry === other ? '' : ABSENT);
  const made = create('td', 'share', `${won} of ${games}`);
  made.title = `${entry.title} was preferred to ${other.title} in ${won} of ${games} votes; a tie is half a vote`;
  setData(made, 'share', String(Math.round((SHARES * won) / games)));
  return made;
}

function heading(text: string, tip: string, scope: 'row' | 'col'): HTMLTableCellElement {
  const made = create('th', '', text);
  made.scope = scope;
  made.title = tip;
  return made;
}
