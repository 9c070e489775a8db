// SPDX-License-Identifier: Apache-2.0
// Requests of the public pages: with a deadline, with the server's own words when it refuses, and on its clock.

import { credential } from '../src/credential';
import { asList, asObject, asText } from '../src/json';

const TIMEOUT_MS = 15_000;

export class Refused extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** Seconds after which the server wants to be asked again. */
    readonly retryAfterS: number | null = null,
  ) {
    super(message);
  }
}

/** What the server's clock shows, as near as its Date headers tell: within the second they are rounded to. */
class ServerClock {
  private low = Number.NEGATIVE_INFINITY;
  private high = Number.POSITIVE_INFINITY;

  note(date: string | null, sentMs: number, receivedMs: number): void {
    const toldMs = Date.parse(date ?? '');
    if (Number.isNaN(toldMs)) return;
    this.low = Math.max(this.low, toldMs - receivedMs);
    this.high = Math.min(this.high, toldMs + 1000 - sentMs);
    // One of the clocks was set: what was learned before is void.
    if (this.low > this.high) [this.low, this.high] = [toldMs - receivedMs, toldMs + 1000 - sentMs];
  }

  nowMs(): number {
    return Date.now() + Math.min(Math.max(0, this.low), this.high);
  }
}

export const serverClock = new ServerClock();

/** The JSON answer. Throws Refused: no answer in time, or a status that is not 2xx. */
export async function ask(method: 'GET' | 'POST', path: string, json?: unknown): Promise<unknown> {
  const sentMs = Date.now();
  let response: Response;
  let text: string;
  try {
    response = await fetch(path, {
      method,
      headers: { ...credential.header(), ...(json === undefined ? {} : { 'Content-Type': 'application/json' }) },
      body: json === undefined ? null : JSON.stringify(json),
      cache: 'no-store',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    serverClock.note(response.headers.get('Date'), sentMs, Date.now());
    text = await response.text();
  } catch (reason) {
    const isTimeout = reason instanceof DOMException && reason.name === 'TimeoutError';
    throw new Refused(isTimeout ? `The server gave no answer within ${TIMEOUT_MS / 1000} s.` : 'The server cannot be reached.', 0);
  }
  const body = parsed(text);
  if (!response.ok) throw new Refused(sentence(response.status, body), response.status, seconds(response.headers.get('Retry-After')));
  return body;
}

/** What went wrong, for people. */
export function said(reason: unknown): string {
  return reason instanceof Error ? reason.message : String(reason);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `error` of the arena and the leaderboard, `detail` of the catalog: a sentence, or a list of what is wrong. */
function sentence(status: number, body: unknown): string {
  const { error, detail } = asObject(body);
  const found = asText(error) || asText(detail) || asList(detail).map((entry) => asText(asObject(entry)['msg'])).join(' ');
  return found || `The server answered ${status}.`;
}

function seconds(header: string | null): number | null {
  const value = Number(header ?? Number.NaN);
  return header !== null && Number.isFinite(value) ? Math.max(1, Math.ceil(value)) : null;
}
