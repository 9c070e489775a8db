// SPDX-License-Identifier: Apache-2.0
// Launch → two blind panes → a vote → names. The matchup stands in the address, so that a reload goes on with it.

import '../src/style/base.css';
import '../pages/style/pages.css';
import './style/arena.css';
import { ask, Refused, said, serverClock } from '../pages/ask';
import { byId, setData, setText } from '../src/dom';
import { Drive } from './drive';
import { isRevealed, type Matchup, readMatchup, SIDES, type SideName, type Winner, WINNERS } from './matchup';
import { Pane } from './pane';

const TICK_MS = 250;
const HAIL_TICKS = 4;
/** A run on the robot tells nothing to this page: the server is asked. */
const ROBOT_TICKS = 12;
const PASSING_MS = 12_000;
const VERDICTS: Readonly<Record<Winner, string>> = {
  left: 'You preferred the left one.',
  right: 'You preferred the right one.',
  both_good: 'You found both good.',
  both_bad: 'You found both bad.',
};

class Arena {
  private readonly panes: Readonly<Record<SideName, Pane>>;
  private readonly drive = new Drive((side, action) => this.panes[side].send(action));
  private readonly sentence = byId('sentence', HTMLElement);
  private readonly problem = byId('problem', HTMLElement);
  private readonly starters = [byId('launch', HTMLButtonElement), byId('next', HTMLButtonElement)];
  private readonly ballot = WINNERS.map((winner) => [winner, byId(`vote-${winner}`, HTMLButtonElement)] as const);
  private matchup: Matchup | null = null;
  private isBusy = false;
  private verdict = '';
  private ticks = 0;
  /** The unlock time that the server was asked about when it had come. */
  private checkedMs: number | null = null;
  private waitUntilMs = 0;
  private passing = 0;

  constructor() {
    const events = {
      onChange: () => this.onPaneChange(),
      onMatchup: (matchup: Matchup) => this.take(matchup),
      onProblem: (sentence: string) => this.complain(sentence, PASSING_MS),
    };
    this.panes = { left: new Pane('left', events), right: new Pane('right', events) };
    for (const starter of this.starters) starter.addEventListener('click', () => void this.launch());
    for (const [winner, button] of this.ballot) button.addEventListener('click', () => void this.vote(winner));
    window.setInterval(() => this.tick(), TICK_MS);
    window.addEventListener('focus', () => this.show());
    window.addEventListener('blur', () => window.setTimeout(() => this.show(), 0));
    window.addEventListener('hashchange', () => void this.resume());
    void this.resume();
    this.show();
  }

  private async launch(): Promise<void> {
    await this.work(async () => this.begin(readMatchup(await ask('POST', '/api/arena/launch'))));
  }

  private async vote(winner: Winner): Promise<void> {
    const { matchup } = this;
    if (matchup === null) return;
    await this.work(async () => {
      try {
        const answer = readMatchup(await ask('POST', '/api/arena/vote', { matchupId: matchup.id, winner }));
        this.verdict = VERDICTS[winner];
        for (const side of SIDES) this.panes[side].choose(winner);
        this.take(answer);
      } catch (reason) {
        // The vote may have come in, and only its answer be lost: whoever has voted is told the names.
        await this.refresh();
        if (this.matchup === null || !isRevealed(this.matchup)) throw reason;
      }
    });
  }

  /** Go on with the matchup that the address names. */
  private async resume(): Promise<void> {
    const id = window.location.hash.slice(1);
    if (!id || id === this.matchup?.id) return;
    await this.work(async () => {
      try {
        this.begin(readMatchup(await ask('GET', `/api/arena/matchup/${encodeURIComponent(id)}`)));
      } catch (reason) {
        window.history.replaceState(null, '', window.location.pathname);
        throw reason;
      }
    });
  }

  private begin(matchup: Matchup): void {
    window.history.replaceState(null, '', `#${matchup.id}`);
    this.matchup = matchup;
    this.checkedMs = null;
    this.verdict = '';
    this.drive.forget();
    for (const side of SIDES) this.panes[side].open(matchup);
    this.show();
  }

  /** The server's newest word about what is shown. */
  private take(matchup: Matchup): void {
    if (matchup.id !== this.matchup?.id) return;
    // Answers may overtake each other: names that were told stay, and the time to vote only moves away.
    const isOld = isRevealed(this.matchup) && !isRevealed(matchup);
    const voteUnlockMs = Math.max(matchup.voteUnlockMs ?? 0, this.matchup.voteUnlockMs ?? 0) || null;
    this.matchup = { ...(isOld ? this.matchup : matchup), voteUnlockMs };
    for (const side of SIDES) this.panes[side].name(this.matchup[side]);
    this.show();
  }

  private async refresh(): Promise<void> {
    const id = this.matchup?.id ?? '';
    try {
      this.take(readMatchup(await ask('GET', `/api/arena/matchup/${encodeURIComponent(id)}`)));
    } catch (reason) {
      this.complain(said(reason), PASSING_MS);
    }
  }

  private onPaneChange(): void {
    // That both panes were loaded moved the time from which one may vote.
    if (this.matchup !== null && this.areBothShown()) void this.refresh();
    this.show();
  }

  private tick(): void {
    this.ticks += 1;
    const { matchup } = this;
    if (matchup !== null) {
      if (this.ticks % HAIL_TICKS === 0) for (const side of SIDES) this.panes[side].hail();
      const isOnRobot = this.panes.left.state === 'robot' && !isRevealed(matchup);
      if (isOnRobot && this.ticks % ROBOT_TICKS === 0) void this.refresh();
      if (this.waitMs() === 0 && this.checkedMs !== matchup.voteUnlockMs && this.areBothShown()) {
        this.checkedMs = matchup.voteUnlockMs;
        void this.refresh();
      }
    }
    this.show();
  }

  private areBothShown(): boolean {
    return SIDES.every((side) => ['running', 'fell', 'robot'].includes(this.panes[side].state));
  }

  /** Until one may vote; null while nobody knows. */
  private waitMs(): number | null {
    const unlockMs = this.matchup?.voteUnlockMs ?? null;
    return unlockMs === null ? null : Math.max(0, unlockMs - serverClock.nowMs());
  }

  private async work(act: () => Promise<void>): Promise<void> {
    if (this.isBusy) return;
    this.isBusy = true;
    this.problem.hidden = true;
    this.show();
    try {
      await act();
    } catch (reason) {
      if (reason instanceof Refused && reason.retryAfterS !== null) this.waitUntilMs = Date.now() + 1000 * reason.retryAfterS;
      this.complain(said(reason));
    } finally {
      this.isBusy = false;
      this.show();
    }
  }

  /** Shown until the next thing is done, or for a while only. */
  private complain(sentence: string, forMs: number | null = null): void {
    window.clearTimeout(this.passing);
    setText(byId('problem-text', HTMLElement), sentence);
    this.problem.hidden = false;
    if (forMs !== null) this.passing = window.setTimeout(() => (this.problem.hidden = true), forMs);
  }

  private show(): void {
    const { matchup } = this;
    const isOver = matchup !== null && isRevealed(matchup);
    const phase = matchup === null ? 'idle' : isOver ? 'over' : 'watch';
    setData(document.documentElement, 'phase', phase);
    const pauseS = Math.ceil((this.waitUntilMs - Date.now()) / 1000);
    for (const starter of this.starters) {
      starter.disabled = this.isBusy || pauseS > 0;
      const text = starter.id === 'launch' ? 'Launch' : isOver ? 'Next pair' : 'Skip this pair';
      setText(starter, pauseS > 0 ? `Wait ${pauseS} s` : text);
    }
    const mayVote = phase === 'watch' && this.areBothShown() && matchup?.status === 'ready' && this.waitMs() === 0;
    for (const [, button] of this.ballot) button.disabled = !mayVote || this.isBusy || pauseS > 0;
    const isDriven = SIDES.some((side) => ['running', 'fell'].includes(this.panes[side].state));
    this.drive.turn(matchup !== null && isDriven);
    setText(this.sentence, this.describe(phase, mayVote));
    const focused = SIDES.find((side) => this.panes[side].hasFocus);
    setText(byId('hint', HTMLElement), focused ? `Keys drive the ${focused} view alone: click here for the choice below` : 'W A S D or arrows drive · R resets');
  }

  private describe(phase: string, mayVote: boolean): string {
    const { matchup } = this;
    if (matchup === null || phase === 'idle') return '';
    if (phase === 'over') return this.verdict || 'You have voted on this pair.';
    const failed = SIDES.find((side) => this.panes[side].state === 'failed');
    if (failed) return `The ${failed} side cannot run here: ${this.panes[failed].failure} Take another pair.`;
    if (matchup.status === 'failed') return `This matchup has failed. ${matchup.error}`;
    if (!this.areBothShown()) return 'Loading both sides. They run in this browser.';
    if (mayVote) return 'Which one is better?';
    const waitMs = this.waitMs();
    if (waitMs === null || matchup.status !== 'ready') return 'The robot runs one after the other. The vote opens when both have run.';
    return `Watch and drive both. The vote opens in ${Math.ceil(waitMs / 1000)} s.`;
  }
}

new Arena();
