// SPDX-License-Identifier: Apache-2.0
// One side: its frame, what the frame says, and control messages on their way into it.

import { ask, Refused, said } from '../pages/ask';
import { refLink } from '../pages/link';
import { byId, setData, setText } from '../src/dom';
import { formatMs } from '../src/format';
import { asList, asNumber, asObject, asText } from '../src/json';
import { type Matchup, type Participant, readMatchup, type SideName, type Winner } from './matchup';

const MOST_TRIES = 4;

export type PaneState = 'loading' | 'running' | 'fell' | 'failed' | 'robot';

export interface PaneEvents {
  /** It runs now, or it cannot. */
  onChange(): void;
  /** The server's newest word about the matchup. */
  onMatchup(matchup: Matchup): void;
  onProblem(sentence: string): void;
}

export class Pane {
  state: PaneState = 'loading';
  failure = '';
  private readonly box: HTMLElement;
  private readonly place: HTMLElement;
  private readonly pill: HTMLElement;
  private readonly title: HTMLElement;
  private readonly echo: HTMLElement;
  private frame: HTMLIFrameElement | null = null;
  private simulation = '';
  private matchup = '';
  /** Messages go out one after the other: a release must not overtake its press. */
  private last: Promise<void> = Promise.resolve();
  private readonly postedMs = new Map<number, number>();

  constructor(
    readonly side: SideName,
    private readonly events: PaneEvents,
  ) {
    this.box = byId(side, HTMLElement);
    this.place = byId(`${side}-place`, HTMLElement);
    this.pill = byId(`${side}-state`, HTMLElement);
    this.title = byId(`${side}-title`, HTMLElement);
    this.echo = byId(`${side}-echo`, HTMLElement);
    window.addEventListener('message', (event: MessageEvent<unknown>) => {
      if (event.origin !== window.location.origin || event.source !== this.frame?.contentWindow) return;
      this.receive(asObject(event.data));
    });
  }

  get hasFocus(): boolean {
    return this.frame !== null && document.activeElement === this.frame;
  }

  /** Begin to show a side; what it showed before is gone. */
  open(matchup: Matchup): void {
    const participant = matchup[this.side];
    this.matchup = matchup.id;
    this.simulation = participant.simulationId;
    this.failure = '';
    this.last = Promise.resolve();
    this.postedMs.clear();
    setText(this.echo, '');
    setData(this.box, 'chosen', null);
    this.frame = participant.panePath === null ? null : frameOf(participant.panePath, `The policy on the ${this.side}`);
    this.place.replaceChildren(this.frame ?? note('This side runs on the robot.'));
    this.become(this.frame === null ? 'robot' : 'loading');
    this.name(participant);
  }

  /** Titles are hidden ones before the vote; afterwards there is something to link to. */
  name({ title, policyRef, panePath, recording }: Participant): void {
    // What ran on the robot has no page to run on.
    this.title.replaceChildren(policyRef === null || panePath === null ? title : refLink(policyRef, title));
    if (recording && this.frame === null) this.place.replaceChildren(note(`This side ran on the robot, recorded as ${recording}.`));
    setData(this.box, 'revealed', policyRef === null ? null : '');
    const ref = byId(`${this.side}-ref`, HTMLElement);
    setText(ref, policyRef ?? '');
    if (policyRef !== null && this.frame) this.frame.title = title;
  }

  choose(winner: Winner): void {
    const isChosen = winner === this.side || winner === 'both_good';
    setData(this.box, 'chosen', isChosen ? 'yes' : 'no');
  }

  /** A frame that cannot tell who frames it waits to be spoken to. */
  hail(): void {
    if (this.state === 'loading') this.post({ type: 'runrobot:hello', version: 1 });
  }

  /** Have the server make a control message, and hand it to the frame. */
  send(action: string): void {
    if (this.frame === null || this.state === 'loading' || this.state === 'failed') return;
    const matchup = this.matchup;
    this.last = this.last.then(() => this.dispatch(matchup, action, 1));
  }

  private async dispatch(matchupId: string, action: string, tries: number): Promise<void> {
    if (matchupId !== this.matchup) return;
    try {
      const answer = await ask('POST', '/api/arena/control', { matchupId, side: this.side, action });
      for (const entry of asList(asObject(answer)['dispatches'])) this.hand(asObject(asObject(entry)['payload']), matchupId);
      if (matchupId === this.matchup) this.events.onMatchup(readMatchup(answer));
    } catch (reason) {
      this.events.onProblem(said(reason));
      // A press that is lost is pressed again by whoever wants it; a release that is lost lets the robot run on.
      const isWorthWaiting = action.endsWith('-release') && reason instanceof Refused && tries < MOST_TRIES;
      if (!isWorthWaiting) return;
      await new Promise((go) => window.setTimeout(go, 1000 * (reason.retryAfterS ?? tries)));
      await this.dispatch(matchupId, action, tries + 1);
    }
  }

  private hand(payload: Record<string, unknown>, matchupId: string): void {
    if (matchupId !== this.matchup || payload['simulationId'] !== this.simulation) return;
    const seq = asNumber(payload['seq']);
    if (seq !== null) this.postedMs.set(seq, performance.now());
    this.post(payload);
  }

  private post(message: Record<string, unknown>): void {
    this.frame?.contentWindow?.postMessage(message, window.location.origin);
  }

  private receive(message: Record<string, unknown>): void {
    const seq = asNumber(message['seq']);
    switch (message['type']) {
      case 'runrobot:ready':
        this.become('running');
        return;
      case 'runrobot:state':
        this.become(message['fell'] === true ? 'fell' : 'running');
        return;
      case 'runrobot:ack':
        if (seq !== null) this.acknowledge(seq);
        return;
      case 'runrobot:error':
        if (seq === null) this.fail(asText(message['message']));
        else this.events.onProblem(`The ${this.side} side refused that: ${asText(message['message'])}`);
    }
  }

  private acknowledge(seq: number): void {
    const postedMs = this.postedMs.get(seq);
    if (postedMs === undefined) return;
    this.postedMs.delete(seq);
    setText(this.echo, `obeyed in ${formatMs(performance.now() - postedMs)} ms`);
  }

  private fail(why: string): void {
    this.failure = why;
    this.become('failed');
  }

  private become(state: PaneState): void {
    const isNews = state !== this.state;
    this.state = state;
    setData(this.pill, 'state', state);
    setText(this.pill, state === 'robot' ? 'on the robot' : state);
    if (isNews) this.events.onChange();
  }
}

function frameOf(path: string, title: string): HTMLIFrameElement {
  const frame = document.createElement('iframe');
  frame.title = title;
  // Bare: bar and pad are this page's, for both sides at once.
  frame.src = `${path}#bare`;
  return frame;
}

function note(text: string): HTMLElement {
  const paragraph = document.createElement('p');
  paragraph.textContent = text;
  return paragraph;
}
