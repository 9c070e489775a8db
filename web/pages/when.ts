// SPDX-License-Identifier: Apache-2.0

/** Date and time as the reader's own calendar has them; nothing for no date. */
export function when(iso: string): string {
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? '' : date.toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' });
}
