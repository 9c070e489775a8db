// SPDX-License-Identifier: Apache-2.0
// Camera pictures: the newest frame only, greyed and dated as soon as it is old.

import { setData, setText } from '../dom';
import { formatAge, formatName } from '../format';
import { FRAME_STALE_MS } from '../model';
import type { Frame } from '../wire';

const RATE_WINDOW_MS = 2000;

/** One camera's newest frame and when its predecessors came. */
interface Feed {
  picture: ImageBitmap | null;
  arrivals: number[];
  isDecoding: boolean;
  next: Blob | null;
}

/** One place on the page that shows a camera. */
class Slot {
  camera: string | null = null;
  private readonly canvas: HTMLCanvasElement;
  private readonly name: HTMLElement;
  private readonly rate: HTMLElement;
  private readonly veilTitle: HTMLElement;
  private readonly veilText: HTMLElement;

  constructor(private readonly root: HTMLElement) {
    this.canvas = one(root, 'canvas', HTMLCanvasElement);
    this.name = one(root, '.caption h2', HTMLElement);
    this.rate = one(root, '.rate', HTMLElement);
    this.veilTitle = one(root, '.veil b', HTMLElement);
    this.veilText = one(root, '.veil span', HTMLElement);
  }

  assign(camera: string | null): void {
    this.camera = camera;
    this.canvas.getContext('2d')?.clearRect(0, 0, this.canvas.width, this.canvas.height);
  }

  draw(picture: ImageBitmap): void {
    if (this.canvas.width !== picture.width || this.canvas.height !== picture.height) {
      this.canvas.width = picture.width;
      this.canvas.height = picture.height;
    }
    this.canvas.getContext('2d')?.drawImage(picture, 0, 0);
  }

  render(feed: Feed | undefined, now: number): void {
    this.root.hidden = this.camera === null;
    if (this.camera === null) return;
    const last = feed?.arrivals.at(-1);
    const age = last === undefined ? Infinity : now - last;
    const state = last === undefined ? 'waiting' : age < FRAME_STALE_MS ? 'live' : 'stale';
    setData(this.root, 'state', state);
    setText(this.name, formatName(this.camera));
    setText(this.rate, state === 'live' ? `${fps(feed, now)} fps` : '');
    setText(this.veilTitle, state === 'stale' ? 'OLD PICTURE' : 'no picture yet');
    setText(this.veilText, state === 'stale' ? `no new frame for ${formatAge(age / 1000)}` : '');
    const label = `Camera ${formatName(this.camera)}: ${state === 'live' ? 'live' : state === 'stale' ? 'old picture' : 'no picture yet'}`;
    if (this.canvas.ariaLabel !== label) this.canvas.ariaLabel = label;
  }
}

export class CamerasView {
  private readonly slots: Slot[];
  private readonly feeds = new Map<string, Feed>();
  private cameras: string[] = [];

  constructor(roots: HTMLElement[], swap: HTMLButtonElement) {
    this.slots = roots.map((root) => new Slot(root));
    swap.addEventListener('click', () => this.place([...this.cameras.slice(1), ...this.cameras.slice(0, 1)]));
  }

  /** Show these cameras, the first one large. Pictures of cameras that stay are kept. */
  show(cameras: readonly string[]): void {
    if ([...cameras].sort().join() === [...this.cameras].sort().join()) return;
    for (const [camera, feed] of this.feeds) {
      if (cameras.includes(camera)) continue;
      feed.picture?.close();
      this.feeds.delete(camera);
    }
    this.place([...cameras]);
  }

  /** Another arm: none of these pictures is its. */
  forget(): void {
    for (const feed of this.feeds.values()) feed.picture?.close();
    this.feeds.clear();
    this.place([...this.cameras]);
  }

  async receive(frame: Frame, now: number): Promise<void> {
    const feed = this.feed(frame.camera);
    feed.arrivals.push(now);
    while ((feed.arrivals[0] ?? now) < now - RATE_WINDOW_MS) feed.arrivals.shift();
    feed.next = frame.jpeg;
    if (feed.isDecoding) return;
    feed.isDecoding = true;
    // Frames that arrive while one is decoded replace each other: the page never lags behind.
    for (let jpeg = take(feed); jpeg; jpeg = take(feed)) await this.decode(frame.camera, feed, jpeg);
    feed.isDecoding = false;
  }

  render(now: number): void {
    for (const slot of this.slots) slot.render(slot.camera === null ? undefined : this.feeds.get(slot.camera), now);
  }

  private async decode(camera: string, feed: Feed, jpeg: Blob): Promise<void> {
    let picture: ImageBitmap;
    try {
      picture = await createImageBitmap(jpeg);
    } catch {
      // A broken JPEG is no new picture: without arrivals the slot shows its age.
      feed.arrivals.pop();
      return;
    }
    if (this.feeds.get(camera) !== feed) {
      picture.close();
      return;
    }
    feed.picture?.close();
    feed.picture = picture;
    this.slots.find((slot) => slot.camera === camera)?.draw(picture);
  }

  private place(cameras: string[]): void {
    this.cameras = cameras;
    this.slots.forEach((slot, index) => {
      const camera = cameras[index] ?? null;
      slot.assign(camera);
      const picture = camera === null ? null : this.feeds.get(camera)?.picture;
      if (picture) slot.draw(picture);
    });
  }

  private feed(camera: string): Feed {
    const known = this.feeds.get(camera);
    if (known) return known;
    const feed: Feed = { picture: null, arrivals: [], isDecoding: false, next: null };
    this.feeds.set(camera, feed);
    return feed;
  }
}

function take(feed: Feed): Blob | null {
  const jpeg = feed.next;
  feed.next = null;
  return jpeg;
}

function fps(feed: Feed | undefined, now: number): number {
  const recent = feed?.arrivals.filter((at) => at > now - RATE_WINDOW_MS) ?? [];
  const first = recent[0];
  return first === undefined ? 0 : Math.round((1000 * (recent.length - 1)) / Math.max(now - first, 1));
}

function one<T extends HTMLElement>(root: HTMLElement, selector: string, kind: new () => T): T {
  const found = root.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`#${root.id} has no ${selector}`);
  return found;
}
