// SPDX-License-Identifier: Apache-2.0
// Requests to the bridge: always with a deadline, and with the bridge's own words when they fail.

import { credential } from './credential';
import { asList, asObject, asText, asTexts } from './json';

export class RequestFailed extends Error {
  constructor(
    message: string,
    /** HTTP status; 0 when no answer came. */
    readonly status: number,
    /** The answer's body, when it was JSON. */
    readonly body: unknown = null,
  ) {
    super(message);
  }
}

export interface RequestOptions {
  priority?: RequestPriority;
  json?: unknown;
  /** A 401 says that what was typed is wrong, not that the page needs a login. */
  isLogin?: boolean;
}

/** The JSON answer of a GET or POST. Throws RequestFailed: no answer in time, or a status that is not 2xx. */
export async function request(
  method: 'GET' | 'POST',
  path: string,
  timeoutMs: number,
  { priority = 'auto', json, isLogin = false }: RequestOptions = {},
): Promise<unknown> {
  let response: Response;
  let text: string;
  try {
    const isJson = json !== undefined;
    response = await fetch(path, {
      method,
      priority,
      headers: { ...(isLogin ? {} : credential.header()), ...(isJson ? { 'Content-Type': 'application/json' } : {}) },
      body: isJson ? JSON.stringify(json) : null,
      cache: 'no-store',
      signal: AbortSignal.timeout(timeoutMs),
    });
    text = await response.text();
  } catch (error) {
    const isTimeout = error instanceof DOMException && error.name === 'TimeoutError';
    throw new RequestFailed(
      isTimeout ? `The bridge gave no answer within ${timeoutMs / 1000} s.` : 'The bridge cannot be reached.',
      0,
    );
  }
  const body = parseOrNull(text);
  if (response.status === 401 && !isLogin) credential.drop();
  if (!response.ok) throw new RequestFailed(describeFailure(response.status, body), response.status, body);
  return body;
}

function parseOrNull(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** `message` and `details` of /auth, else `detail`: a sentence, or a list of what is wrong with the body. */
function describeFailure(status: number, body: unknown): string {
  const message = [asText(asObject(body)['message']), asText(asObject(body)['details'])].filter(Boolean).join(': ');
  if (message) return message;
  const detail = asObject(body)['detail'];
  const causes = asTexts(asObject(body)['causes']);
  if (causes.length > 1) return causes.join(' ');
  const sentences = Array.isArray(detail) ? asList(detail).map((entry) => asText(asObject(entry)['msg'])) : [asText(detail)];
  return sentences.filter(Boolean).join(' ') || `The bridge answered ${status}.`;
}
