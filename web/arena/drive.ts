// SPDX-License-Identifier: Apache-2.0
// Keyboard and pad of the page: what is held, for the left side, the right one, or both.

import { type Key, KEYS, pressedKey, releasedKey, startsShortcut } from '../run/keys';
import { byId, setData } from '../src/dom';
import { SIDES, type SideName } from './matchup';

type Holder = 'keyboard' | 'pad';

export class Drive {
  private readonly held = new Map<Holder, Set<Key>>();
  private readonly pressed = new Map<SideName, Set<Key>>(SIDES.map((side) => [side, new Set()]));
  private readonly pad = Array.from(byId('pad', HTMLElement).querySelectorAll('button'));
  private readonly choices = Array.from(byId('who', HTMLElement).querySelectorAll('input'));
  private isOn = false;

  constructor(private readonly send: (side: SideName, action: string) => void) {
    window.addEventListener('keydown', (event) => this.onKeyDown(event));
    window.addEventListener('keyup', (event) => {
      const key = releasedKey(event);
      if (key) this.hold('keyboard', key, false);
    });
    window.addEventListener('blur', () => this.release());
    document.addEventListener('visibilitychange', () => this.release());
    byId('reset', HTMLButtonElement).addEventListener('click', () => this.reset());
    for (const choice of this.choices) choice.addEventListener('change', () => this.settle());
    for (const button of this.pad) this.watch(button);
  }

  /** Only while there is something to drive. */
  turn(isOn: boolean): void {
    if (!isOn) this.release();
    this.isOn = isOn;
    byId('dock-drive', HTMLFieldSetElement).disabled = !isOn;
  }

  release(): void {
    this.held.clear();
    this.settle();
  }

  /** A pane that starts anew has nothing pressed. */
  forget(): void {
    this.held.clear();
    for (const keys of this.pressed.values()) keys.clear();
    this.settle();
  }

  private sides(): readonly SideName[] {
    const chosen = this.choices.find((choice) => choice.checked)?.value;
    return SIDES.filter((side) => chosen === 'both' || chosen === side);
  }

  private reset(): void {
    if (this.isOn) for (const side of this.sides()) this.send(side, 'reset');
  }

  private onKeyDown(event: KeyboardEvent): void {
    if (startsShortcut(event) && this.held.delete('keyboard')) this.settle();
    const key = pressedKey(event);
    // Arrows choose among radio buttons, when one of them has the focus.
    const isChoosing = event.target instanceof HTMLInputElement && event.code.startsWith('Arrow');
    if (!this.isOn || isChoosing) return;
    if (key) {
      event.preventDefault();
      if (!event.repeat) this.hold('keyboard', key, true);
    } else if (event.code === 'KeyR' && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey) this.reset();
  }

  private watch(button: HTMLButtonElement): void {
    const key = KEYS.find((known) => known === button.dataset['key']);
    if (!key) return;
    button.addEventListener('pointerdown', (event) => {
      button.setPointerCapture(event.pointerId);
      this.hold('pad', key, true);
    });
    for (const end of ['pointerup', 'pointercancel', 'lostpointercapture'] as const) {
      button.addEventListener(end, () => this.hold('pad', key, false));
    }
    // A screen reader or a focused Enter has no pointer to hold: it presses until the next press.
    button.addEventListener('click', (event) => {
      if (event.detail === 0) this.hold('pad', key, button.dataset['pressed'] === undefined);
    });
    button.addEventListener('contextmenu', (event) => event.preventDefault());
  }

  private hold(holder: Holder, key: Key, isHeld: boolean): void {
    if (isHeld && !this.isOn) return;
    const keys = this.held.get(holder) ?? new Set();
    if (isHeld) keys.add(key);
    else keys.delete(key);
    this.held.set(holder, keys);
    this.settle();
  }

  /** Tell each side what is pressed and let go since it was told last. */
  private settle(): void {
    const wanted = new Set(Array.from(this.held.values(), (keys) => [...keys]).flat());
    const sides = this.sides();
    for (const [side, told] of this.pressed) {
      for (const key of KEYS) {
        const isPressed = wanted.has(key) && sides.includes(side);
        if (isPressed === told.has(key)) continue;
        if (isPressed) told.add(key);
        else told.delete(key);
        this.send(side, `${key}-${isPressed ? 'press' : 'release'}`);
      }
    }
    for (const button of this.pad) setData(button, 'pressed', wanted.has(button.dataset['key'] as Key) ? '' : null);
  }
}
