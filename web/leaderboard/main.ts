// SPDX-License-Identifier: Apache-2.0
// Ratings with their intervals, as a table and a picture, the votes between each two, and where to get them all.

import '../src/style/base.css';
import '../pages/style/pages.css';
import './style/leaderboard.css';
import { ask, said } from '../pages/ask';
import { when } from '../pages/when';
import { byId, setText } from '../src/dom';
import { poll } from '../src/poll';
import { type Board, readBoard, readWins } from './board';
import { describe, RatingPlot } from './plot';
import { fillMatrix, fillTable } from './tables';

const PERIOD_MS = 5_000;
const MOST_PLOTTED = 40;
const MOST_PAIRED = 16;

const plotBox = byId('plot', HTMLElement);
const plot = new RatingPlot(plotBox);
let shown = '';

async function look(): Promise<void> {
  const problem = byId('problem', HTMLElement);
  try {
    const answers = await Promise.all([ask('GET', '/v1/leaderboard'), ask('GET', '/v1/leaderboard/wins')]);
    problem.hidden = true;
    // What has not changed is not drawn again: somebody may be reading, or selecting.
    const now = JSON.stringify(answers);
    if (now === shown) return;
    shown = now;
    const board = readBoard(answers[0]);
    show(board);
    fillMatrix(byId('matrix', HTMLTableElement), board.entries.slice(0, MOST_PAIRED), readWins(answers[1]));
  } catch (reason) {
    setText(problem, `This may be out of date: ${said(reason)}`);
    problem.hidden = false;
  }
}

function show(board: Board): void {
  const { entries } = board;
  byId('empty', HTMLElement).hidden = entries.length > 0;
  for (const id of ['ratings', 'picture', 'pairs']) byId(id, HTMLElement).hidden = entries.length === 0;
  byId('pairs', HTMLElement).hidden = entries.length < 2;
  setText(byId('updated', HTMLElement), board.updatedAt ? `Last counted vote ${when(board.updatedAt)}.` : 'No votes yet.');
  setText(byId('outcome', HTMLElement), outcome(board));
  fillTable(byId('rows', HTMLTableSectionElement), board);
  const plotted = entries.slice(0, MOST_PLOTTED);
  plot.show(plotted, board.winner);
  plotBox.setAttribute('aria-label', plotted.map((entry) => `${entry.title}: ${describe(entry)}`).join('. '));
  setText(byId('plotted', HTMLElement), cut(entries.length, MOST_PLOTTED));
  setText(byId('paired', HTMLElement), cut(entries.length, MOST_PAIRED));
}

function outcome({ winner, entries }: Board): string {
  const title = entries.find((entry) => entry.ref === winner)?.title;
  if (title) return `${title} wins: its interval lies above all others.`;
  return entries.length > 1 ? 'No winner yet: the intervals of the best overlap, or votes are too few.' : '';
}

function cut(all: number, shownOf: number): string {
  return all > shownOf ? `the best ${shownOf} of ${all}` : '';
}

poll(look, PERIOD_MS);
