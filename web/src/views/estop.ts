// SPDX-License-Identifier: Apache-2.0
// The red button, its keys, and Reset.

import { byId, setData, setText } from '../dom';
import type { EmergencyStop, EstopPhase } from '../estop';

const HAS_KEYS = window.matchMedia('(hover: hover) and (min-width: 600px)');
const HINTS: Record<EstopPhase, string> = {
  idle: HAS_KEYS.matches ? 'all arms · Esc or Space' : 'stops all arms',
  sent: 'sent, waiting …',
  acknowledged: 'acknowledged',
  failed: 'NOT ACKNOWLEDGED',
};
/** A press fires on pointer-down; the click that follows it is the same press. */
const SAME_PRESS_MS = 1000;

export class EstopView {
  private readonly button = byId('estop', HTMLButtonElement);
  private readonly hint = byId('estop-hint', HTMLElement);
  private readonly reset = byId('reset', HTMLButtonElement);
  private pointerDownAt = -Infinity;

  constructor(
    private readonly estop: EmergencyStop,
    private readonly changed: () => void,
    onReset: () => void,
  ) {
    this.button.addEventListener('pointerdown', () => {
      this.pointerDownAt = performance.now();
      this.press();
    });
    this.button.addEventListener('click', () => {
      if (performance.now() - this.pointerDownAt > SAME_PRESS_MS) this.press();
    });
    this.reset.addEventListener('click', onReset);
    document.addEventListener('keydown', (event) => this.key(event), { capture: true });
  }

  render(state: string, isResetting: boolean): void {
    const phase = this.estop.report.phase;
    const isLatched = state === 'emergency';
    setData(this.button, 'phase', phase);
    setData(this.button, 'latched', isLatched ? 'true' : null);
    setText(this.hint, phase === 'idle' && isLatched ? 'latched' : HINTS[phase]);
    // Unknown state leaves Reset usable: it never moves anything, and the bridge answers why not.
    this.reset.disabled = isResetting || (state !== '' && !isLatched);
    setData(this.reset, 'wanted', isLatched ? 'true' : null);
  }

  private key(event: KeyboardEvent): void {
    const isSpace = event.code === 'Space' && !isControl(event.target);
    if (event.repeat || (event.key !== 'Escape' && !isSpace)) return;
    event.preventDefault();
    this.press();
  }

  private press(): void {
    void this.estop.send().finally(this.changed);
    this.changed();
  }
}

/** Space on a focused control means that control. */
function isControl(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('button, select, input, textarea, a') !== null;
}
