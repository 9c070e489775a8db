// SPDX-License-Identifier: Apache-2.0
// Log in, log out, become the first admin, and tickets for sockets.

import { credential } from './credential';
import { asNumber, asObject, asText } from './json';
import { request } from './rest';

const TIMEOUT_MS = 10_000;

export async function logIn(username: string, password: string): Promise<void> {
  keep(username, await request('POST', '/auth/login', TIMEOUT_MS, { json: { username, password }, isLogin: true }));
}

export async function becomeFirstAdmin(secret: string, username: string, password: string): Promise<void> {
  const json = { secret, username, password };
  keep(username, await request('POST', '/auth/first-admin', TIMEOUT_MS, { json, isLogin: true }));
}

/** Ends the login at the bridge too; here it is over in any case. */
export async function logOut(): Promise<void> {
  try {
    await request('POST', '/auth/logout', TIMEOUT_MS);
  } finally {
    credential.drop();
  }
}

/** What a socket's URL carries: a ticket for half a minute and one use; nothing on a trusted machine. */
export async function socketTicket(): Promise<string> {
  if (!credential.name) return '';
  return asText(asObject(await request('POST', '/auth/ticket', TIMEOUT_MS))['ticket']);
}

/** The secret of the link that the bridge printed at its first start. It is taken out of the address bar at once. */
export function takeFirstAdminSecret(): string {
  const secret = new URLSearchParams(location.hash.slice(1)).get('first-admin') ?? '';
  if (secret) history.replaceState(null, '', location.pathname);
  return secret;
}

function keep(username: string, body: unknown): void {
  const answer = asObject(body);
  const lastsMs = (asNumber(answer['expires_in']) ?? 0) * 1000;
  credential.keep(asText(answer['access_token']), username, Date.now() + lastsMs);
}
