// SPDX-License-Identifier: Apache-2.0
// What is pressed, by keyboard, by the pad or from another page, and the velocity that it asks for.

import type { Command } from './protocol';
import type { ControlSpec, Range } from './spec';

export type Key = 'forward' | 'backward' | 'left' | 'right';
export const KEYS: readonly Key[] = ['forward', 'backward', 'left', 'right'];

const CODES: Readonly<Record<string, Key>> = {
  KeyW: 'forward',
  ArrowUp: 'forward',
  KeyS: 'backward',
  ArrowDown: 'backward',
  KeyA: 'left',
  ArrowLeft: 'left',
  KeyD: 'right',
  ArrowRight: 'right',
};

/** The drive key that a keydown presses; none when a modifier makes it the browser's. */
export function pressedKey(event: KeyboardEvent): Key | null {
  return event.ctrlKey || event.metaKey || event.altKey ? null : releasedKey(event);
}

/** The drive key that a keyup lets go, whatever else is down by then. */
export function releasedKey(event: KeyboardEvent): Key | null {
  return CODES[event.code] ?? null;
}

/** What is held while this is down may never be told to be let go: macOS has no keyup beside Command. */
export function startsShortcut(event: KeyboardEvent): boolean {
  return event.key === 'Meta' || event.key === 'Control';
}

/** Opposite keys cancel each other. A range that ends at zero has no such direction. */
export function commandOf(pressed: ReadonlySet<Key>, ranges: ControlSpec['commands']): Command {
  return [along(ranges.linVelX, pressed.has('forward'), pressed.has('backward')), 0, along(ranges.angVelZ, pressed.has('left'), pressed.has('right'))];
}

function along([low, high]: Range, more: boolean, less: boolean): number {
  return more === less ? 0 : more ? high : low;
}
