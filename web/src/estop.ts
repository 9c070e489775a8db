// SPDX-License-Identifier: Apache-2.0
// The emergency stop: says "sent" at once, "acknowledged" only when the bridge says who acknowledged, and
// otherwise repeats and then says loudly that nobody did. It stops every arm, whichever one is on show.

import { asObject, asText } from './json';
import { request, RequestFailed } from './rest';

const ANSWER_TIMEOUT_MS = 4000;
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
  private acknowledgedAt = 0;

  /** Send until somebody acknowledges, at most ATTEMPTS times. A later press replaces an earlier one's attempts. */
  async send(): Promise<void> {
    const press = ++this.press;
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
    return readAnswer(await request('POST', '/api/control/estop', ANSWER_TIMEOUT_MS));
  } catch (error) {
    const reason = error instanceof RequestFailed ? error.message : String(error);
    return { phase: 'failed', message: `E-stop not acknowledged: ${reason}` };
  }
}

function readAnswer(body: unknown): EstopReport {
  const answer = asObject(body);
  const arms = Object.entries(asObject(answer['arms'])).map(([arm, value]) => ({ arm, ...readArm(value) }));
  const silent = arms.filter((entry) => !entry.isAcknowledged);
  if (answer['emergency_stop'] !== true || silent.length > 0) {
    const whom = silent.map((entry) => `${entry.arm} (${entry.message || 'no answer'})`).join(', ');
    return { phase: 'failed', message: `E-stop not acknowledged by ${whom || 'any arm'}.` };
  }
  const by = arms.map((entry) => (entry.message ? `${entry.arm} (${entry.message})` : entry.arm)).join(', ');
  return { phase: 'acknowledged', message: `E-stop acknowledged by ${by || 'the bridge'}.` };
}

function readArm(value: unknown): { isAcknowledged: boolean; message: string } {
  const arm = asObject(value);
  return { isAcknowledged: arm['acknowledged'] === true, message: asText(arm['message']) };
}
