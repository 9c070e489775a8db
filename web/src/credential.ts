// SPDX-License-Identifier: Apache-2.0
// What this tab shows the bridge: nothing on a trusted machine, else a login. It lives as long as the tab, and never in a
// URL or a cookie.

const KEY = 'arena-login';

interface Stored {
  token: string;
  name: string;
  endsAtMs: number;
}

export class Credential {
  private stored: Stored | null = load();
  /** The bridge does not answer without a login. */
  isNeeded = false;

  get name(): string {
    return this.stored?.name ?? '';
  }

  /** Minutes until the login ends; null without one. */
  minutesLeft(nowMs: number): number | null {
    return this.stored ? Math.max(0, (this.stored.endsAtMs - nowMs) / 60_000) : null;
  }

  header(): Record<string, string> {
    return this.stored ? { Authorization: `Bearer ${this.stored.token}` } : {};
  }

  keep(token: string, name: string, endsAtMs: number): void {
    this.stored = { token, name, endsAtMs };
    this.isNeeded = false;
    sessionStorage.setItem(KEY, JSON.stringify(this.stored));
  }

  /** Logged out, or the bridge said 401. */
  drop(): void {
    this.stored = null;
    this.isNeeded = true;
    sessionStorage.removeItem(KEY);
  }
}

function load(): Stored | null {
  try {
    const found = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Partial<Stored> | null;
    const isWhole = typeof found?.token === 'string' && typeof found.name === 'string' && typeof found.endsAtMs === 'number';
    return isWhole ? (found as Stored) : null;
  } catch {
    return null;
  }
}

export const credential = new Credential();
