// SPDX-License-Identifier: Apache-2.0
// One sentence that says what is going on, the most urgent thing first.

import type { EmergencyStop, EstopReport } from '../estop';
import { byId, setData, setText } from '../dom';
import { formatAge, formatName } from '../format';
import type { Health, Model } from '../model';

type Tone = 'quiet' | 'good' | 'warn' | 'alarm' | 'lost';

interface Sentence {
  tone: Tone;
  text: string;
}

const HEALTH_WORDS: Record<Health, string> = {
  connecting: 'connecting',
  offline: 'no connection',
  silent: 'no data',
  live: 'live',
};

export class StripView {
  private readonly page = byId('page', HTMLElement);
  private readonly strip = byId('strip', HTMLElement);
  private readonly sentence = byId('sentence', HTMLElement);
  private readonly unguarded = byId('unguarded', HTMLElement);
  private readonly since = byId('since', HTMLElement);
  private readonly link = byId('link', HTMLElement);
  private readonly linkText = byId('link-text', HTMLElement);

  render(model: Model, estop: EmergencyStop, now: number): void {
    const health = model.health(now);
    const { tone, text } = sentenceOf(model, estop.report, now);
    setData(this.strip, 'tone', tone);
    this.sentence.ariaLive = tone === 'alarm' || tone === 'lost' ? 'assertive' : 'polite';
    setText(this.sentence, text);
    // Apart from the sentence, so that a screen reader is not told each tenth of a second.
    setText(this.since, sinceText(model, estop, now));
    setData(this.link, 'health', health);
    setText(this.linkText, model.isLoginNeeded ? 'not logged in' : HEALTH_WORDS[health]);
    setData(this.page, 'health', health);
    const warning = model.freshControl(now)?.warning ?? '';
    setText(this.unguarded, warning);
    this.unguarded.hidden = warning === '';
    document.title = `${titleMark(tone)}lerobot arena`;
  }
}

function sinceText(model: Model, estop: EmergencyStop, now: number): string {
  const waitingS = estop.waitingS(now);
  if (waitingS !== null) return waitingS > 0.5 ? `no answer for ${formatAge(waitingS)}` : '';
  if (model.isLoginNeeded) return '';
  const health = model.health(now);
  return health === 'offline' || health === 'silent' ? `no data for ${formatAge(model.silenceS(now))}` : '';
}

/** What the page says about itself. Pure. */
export function sentenceOf(model: Model, estop: EstopReport, now: number): Sentence {
  if (estop.phase === 'failed') return { tone: 'alarm', text: `${estop.message} Cut the arm's power, or press again.` };
  if (estop.phase === 'sent') return { tone: 'alarm', text: estop.message };
  if (model.isLoginNeeded) {
    return { tone: 'quiet', text: 'This bridge asks who you are. At the machine itself the e-stop works without: arena estop.' };
  }
  const health = model.health(now);
  if (health === 'offline') {
    return { tone: 'lost', text: 'Connection to the bridge lost. What you see is old, and the arm may be moving. Trying again.' };
  }
  if (health === 'connecting') return { tone: 'quiet', text: 'Connecting to the bridge.' };
  if (model.state(now) === 'emergency') return { tone: 'alarm', text: emergencyText(model, estop, now) };
  // The state on show is a moment older than the acknowledgement.
  if (estop.phase === 'acknowledged') return { tone: 'alarm', text: `E-stop. ${estop.message}` };
  if (health === 'silent') {
    return { tone: 'lost', text: 'No word from the guard of this arm: what you see is old. Without its guard an arm holds by its own timeout.' };
  }
  return sessionSentence(model, now);
}

function emergencyText(model: Model, estop: EstopReport, now: number): string {
  const guard = estop.phase === 'acknowledged' ? estop.message : '';
  const sink = model.freshControl(now)?.sink;
  return ['Emergency stop is latched.', guard, sink ? `Embodiment ${sink}` : '', 'Reset, then start again.']
    .filter(Boolean)
    .join(' ');
}

function sessionSentence(model: Model, now: number): Sentence {
  const session = model.session();
  if (!session) return { tone: 'quiet', text: 'No session for this arm. Create one with `arena session create`.' };
  if (session.status === 'error') return { tone: 'alarm', text: session.errorMessage || 'The session failed.' };
  if (model.state(now) === 'paused') return { tone: 'warn', text: 'Paused: the arm holds until you press Resume.' };
  if (model.state(now) === 'running') return runningSentence(model, now);
  if (session.status === 'initializing') return { tone: 'quiet', text: 'The policy is being loaded.' };
  if (session.status === 'timeout') return { tone: 'warn', text: session.errorMessage || 'The session had no input for too long. The arm holds.' };
  if (session.status === 'running') return { tone: 'quiet', text: 'Stopped.' };
  const control = model.freshControl(now);
  const why = session.errorMessage || control?.message || '';
  // What keeps the guard from another session says nothing of this one.
  const obstacles = control?.sessionId === session.id ? control.notReady.join(' ') : '';
  if (obstacles) return { tone: 'warn', text: [why, `Not ready to start: ${obstacles}`].filter(Boolean).join(' ') };
  if (why) return { tone: 'warn', text: why };
  return { tone: 'quiet', text: 'Ready. The arm holds still until you press Start.' };
}

function runningSentence(model: Model, now: number): Sentence {
  const cycle = model.live?.value;
  if (model.freshControl(now)?.warning) return { tone: 'alarm', text: `Running ${cycle?.sessionId ?? ''}, and nothing guards the arm.` };
  if (cycle?.outcome === 'held') return { tone: 'warn', text: `Running, but the arm holds: ${cycle.reason || 'no action to play'}` };
  if (cycle?.reaction) return { tone: 'warn', text: `Running, but the guard has to ${formatName(cycle.reaction)}: ${cycle.reason}` };
  return { tone: 'good', text: `Running ${cycle?.sessionId ?? ''}: the policy drives the arm through the guard.` };
}

function titleMark(tone: Tone): string {
  if (tone === 'alarm') return '⛔ ';
  return tone === 'lost' ? '⚠ ' : '';
}
