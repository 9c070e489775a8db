// SPDX-License-Identifier: Apache-2.0
// Links to what is published. Only paths of this site: what the server names by its own address may be behind a proxy.

import { parseUrl } from '../src/address';
import { create } from '../src/dom';

/** `owner/slug` as a link to its run. What else a policy may be called, such as a folder, is text. */
export function refLink(ref: string, text = ref): HTMLElement {
  if (!/^[^\s/:]+\/\S+$/.test(ref)) return create('span', '', text);
  const link = create('a', '', text);
  link.href = `/${ref.split('/').map(encodeURIComponent).join('/')}`;
  return link;
}

/** Path of an address that the server wrote, on this site; null when it is none. */
export function ownPath(address: string): string | null {
  return parseUrl(address, window.location.href)?.pathname ?? null;
}
