// SPDX-License-Identifier: Apache-2.0
// Keys of the keyboard and the pad. What is held when the page loses sight of it is let go.

import { byId, setData } from '../src/dom';
import { type Key, KEYS, pressedKey, releasedKey, startsShortcut } from './keys';

export interface Orders {
  drive(pressed: ReadonlySet<Key>): void;
  reset(): void;
  toggleFollow(): void;
}

/** Who presses what: a key counts while anyone holds it. */
type Holder = 'keyboard' | 'pad' | 'remote';

export class Driver {
  private readonly held = new Map<Holder, Set<Key>>();
  private readonly buttons: readonly HTMLButtonElement[];

  constructor(private readonly orders: Orders) {
    this.buttons = Array.from(byId('pad', HTMLElement).querySelectorAll('button'));
    window.addEventListener('keydown', (event) => this.onKeyDown(event));
    window.addEventListener('keyup', (event) => {
      const key = releasedKey(event);
      if (key) this.press('keyboard', key, false);
    });
    window.addEventListener('blur', () => this.release());
    document.addEventListener('visibilitychange', () => this.release());
    byId('reset', HTMLButtonElement).addEventListener('click', () => orders.reset());
    byId('follow', HTMLButtonElement).addEventListener('click', () => orders.toggleFollow());
    this.buttons.forEach((button) => this.watch(button));
  }

  /** Also tells what is so already: another page waits for an answer. */
  press(holder: Holder, key: Key, isPressed: boolean): void {
    const keys = this.held.get(holder) ?? new Set();
    if (isPressed) keys.add(key);
    else keys.delete(key);
    this.held.set(holder, keys);
    this.tell();
  }

  private onKeyDown(event: KeyboardEvent): void {
    if (startsShortcut(event) && this.held.delete('keyboard')) this.tell();
    const key = pressedKey(event);
    const isPlain = !event.ctrlKey && !event.metaKey && !event.altKey && !event.repeat;
    if (key) {
      event.preventDefault();
      const isHeld = event.repeat && this.held.get('keyboard')?.has(key);
      if (!isHeld) this.press('keyboard', key, true);
    } else if (isPlain && event.code === 'KeyR') this.orders.reset();
    else if (isPlain && event.code === 'KeyC') this.orders.toggleFollow();
  }

  private watch(button: HTMLButtonElement): void {
    const key = KEYS.find((known) => known === button.dataset['key']);
    if (!key) return;
    button.addEventListener('pointerdown', (event) => {
      button.setPointerCapture(event.pointerId);
      this.press('pad', key, true);
    });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture'] as const) {
      button.addEventListener(end, () => this.press('pad', key, false));
    }
    // A screen reader or a focused Enter has no pointer to hold: it presses until the next press.
    button.addEventListener('click', (event) => {
      if (event.detail === 0) this.press('pad', key, button.dataset['pressed'] === undefined);
    });
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  /** Another page's presses stay: it has its own releases. */
  private release(): void {
    this.held.delete('keyboard');
    this.held.delete('pad');
    this.tell();
  }

  private tell(): void {
    const pressed = new Set(Array.from(this.held.values(), (keys) => [...keys]).flat());
    for (const button of this.buttons) {
      setData(button, 'pressed', pressed.has(button.dataset['key'] as Key) ? '' : null);
    }
    this.orders.drive(pressed);
  }
}
