// SPDX-License-Identifier: Apache-2.0
// The emergency stop: says "sent" at once, "acknowledged" only when the bridge says who acknowledged, and
// otherwise repeats and then says loudly that nobody did. It stops every arm, whichever one is on show.

import { asObject, asText, type Json } from './json';
import { request, RequestFailed } from './rest';

/** The bridge asks the guards for 2 s, then the embodiments of those that stay silent for 2 s more. */
const ANSWER_TIMEOUT_MS = 7000;
const RETRY_MS = 400;
const ATTEMPTS = 5;
/** How long the state on show may lag behind an acknowledgement. */
const SETTLE_MS = 3000;

export type EstopPhase = 'idle' | 'sent' | 'acknowledged' | 'failed';

export interface EstopReport {
  phase: EstopPhase;
  /** What to tell the person: who acknowledged, or why nobody did. */
  message: string;
}

export class EmergencyStop {
  report: EstopReport = { phase: 'idle', message: '' };
  private press = 0;
  private sentAt = 0;
  private acknowledgedAt = 0;

  /** Send until somebody acknowledges, at most ATTEMPTS times. A later press replaces an earlier one's attempts. */
  async send(): Promise<void> {
    const press = ++this.press;
    this.sentAt = performance.now();
    this.report = { phase: 'sent', message: 'E-stop sent. Waiting for the arms to acknowledge.' };
    for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
      const report = await attemptOnce();
      if (press !== this.press) return;
      if (report.phase === 'acknowledged' || attempt === ATTEMPTS) {
        this.report = report;
        this.acknowledgedAt = performance.now();
        return;
      }
      this.report = { phase: 'sent', message: `${report.message} Sending again (${attempt + 1} of ${ATTEMPTS}).` };
      await new Promise((resolve) => window.setTimeout(resolve, RETRY_MS));
      if (press !== this.press) return;
    }
  }

  /** Seconds since the press that still waits; null when none does. */
  waitingS(now: number): number | null {
    return this.report.phase === 'sent' ? (now - this.sentAt) / 1000 : null;
  }

  /** An acknowledgement is history once the arm is known to be out of emergency: reset by somebody else. */
  settle(state: string, now: number): void {
    const isOver = state !== '' && state !== 'emergency' && now - this.acknowledgedAt > SETTLE_MS;
    if (this.report.phase === 'acknowledged' && isOver) this.clear();
  }

  /** After a reset that was acknowledged, the report is history. */
  clear(): void {
    this.press++;
    this.report = { phase: 'idle', message: '' };
  }
}

async function attemptOnce(): Promise<EstopReport> {
  try {
    return readAnswer(await request('POST', '/api/control/estop', ANSWER_TIMEOUT_MS, { priority: 'high' }));
  } catch (error) {
    const reason = error instanceof RequestFailed ? error.message : String(error);
    return { phase: 'failed', message: `E-stop not acknowledged: ${reason}` };
  }
}

function readAnswer(body: unknown): EstopReport {
  const answer = asObject(body);
  const arms = Object.entries(asObject(answer['arms'])).map(([arm, value]) => readArm(arm, asObject(value)));
  const silent = arms.filter((entry) => !entry.isAcknowledged);
  if (answer['emergency_stop'] !== true || silent.length > 0) {
    const whom = silent.map((entry) => `${entry.arm} (${entry.message || 'no answer'})`).join(', ');
    return { phase: 'failed', message: `E-stop not acknowledged by ${whom || 'any arm'}.` };
  }
  return { phase: 'acknowledged', message: `Acknowledged by ${arms.map((entry) => entry.by).join(', ')}.` };
}

interface ArmAnswer {
  arm: string;
  isAcknowledged: boolean;
  by: string;
  message: string;
}

function readArm(arm: string, answer: Json): ArmAnswer {
  const isGuard = answer['by'] === 'guard';
  return {
    arm,
    isAcknowledged: answer['acknowledged'] === true,
    by: isGuard ? `the guard of ${arm}` : `the embodiment of ${arm}, whose guard is silent`,
    message: asText(answer['message']),
  };
}
