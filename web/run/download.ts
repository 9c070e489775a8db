// SPDX-License-Identifier: Apache-2.0
// Files with progress, and files that are stored compressed.

export type OnProgress = (doneBytes: number, totalBytes: number) => void;

/** Fetch a file whole. `totalBytes` is 0 when the server does not tell. Throws an Error with the file's address. */
export async function download(url: string, onProgress: OnProgress): Promise<Uint8Array<ArrayBuffer>> {
  const name = new URL(url).pathname;
  const response = await fetch(url).catch((reason: unknown) => {
    throw new Error(`${name} cannot be fetched: ${reason instanceof Error ? reason.message : String(reason)}.`);
  });
  if (!response.ok || response.body === null) throw new Error(`${name} cannot be fetched: the server says ${response.status}.`);
  // With a Content-Encoding the length is that of the compressed bytes, which are never seen here.
  const total = response.headers.has('Content-Encoding') ? 0 : Number(response.headers.get('Content-Length') ?? 0);
  return collect(response.body, name, (done) => onProgress(done, total));
}

/** Undo gzip, unless a server on the way has done so already. */
export async function gunzip(bytes: Uint8Array<ArrayBuffer>): Promise<ArrayBuffer> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes.buffer;
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer();
}

async function collect(
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  name: string,
  onBytes: (done: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let done = 0;
  const reader = body.getReader();
  for (;;) {
    const part = await reader.read().catch(() => {
      throw new Error(`${name} broke off after ${done} bytes: load the page again.`);
    });
    if (part.done) break;
    parts.push(part.value);
    done += part.value.length;
    onBytes(done);
  }
  const whole = new Uint8Array(done);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
