// SPDX-License-Identifier: Apache-2.0
// Addresses as text. URL.canParse and URL.parse are younger than browsers that run everything else here.

/** Null when `text` is no address, also not one relative to `base`. */
export function parseUrl(text: string, base?: string): URL | null {
  try {
    return new URL(text, base);
  } catch {
    return null;
  }
}
