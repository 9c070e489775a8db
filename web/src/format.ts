// SPDX-License-Identifier: Apache-2.0
// Numbers and times as people read them. Absent values are an en dash, never a zero.

export const ABSENT = '–';

/** Milliseconds with the digits that matter. */
export function formatMs(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return ABSENT;
  if (value > 0 && value < 0.005) return '<0.01';
  if (value < 1) return value.toFixed(2);
  return value < 100 ? value.toFixed(1) : value.toFixed(0);
}

/** An age in seconds: tenths below ten, minutes above two. */
export function formatAge(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  return `${Math.floor(seconds / 60)} min`;
}

/** Wall-clock time of a Unix stamp in seconds. */
export function formatTime(stampS: number): string {
  return new Date(stampS * 1000).toLocaleTimeString([], { hour12: false });
}

/** `shoulder_pan` as `shoulder pan`. */
export function formatName(name: string): string {
  return name.replaceAll('_', ' ');
}

/** A joint value with one decimal and a true minus. */
export function formatJoint(value: number | null): string {
  if (value === null) return ABSENT;
  const text = value.toFixed(1);
  return text === '-0.0' ? '0.0' : text.replace('-', '−');
}
