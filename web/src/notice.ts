// SPDX-License-Identifier: Apache-2.0
// Why the bridge refused what was just asked: over the page, so that nothing jumps.

import { byId, setText } from './dom';

const SHOWN_MS = 12_000;

export class Notice {
  private readonly box = byId('notice', HTMLElement);
  private readonly text = byId('notice-text', HTMLElement);
  private timer = 0;

  constructor() {
    byId('notice-close', HTMLButtonElement).addEventListener('click', () => this.hide());
  }

  show(text: string): void {
    window.clearTimeout(this.timer);
    setText(this.text, text);
    this.box.hidden = false;
    this.timer = window.setTimeout(() => this.hide(), SHOWN_MS);
  }

  hide(): void {
    this.box.hidden = true;
  }
}
