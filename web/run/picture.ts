// SPDX-License-Identifier: Apache-2.0
// The picture: asks the worker where everything is, draws it, and never makes physics wait.

import { PCFShadowMap, PerspectiveCamera, Vector3, WebGLRenderer } from 'three';
import { OrbitControls } from 'three/examples/jsm/controls/OrbitControls.js';

import { byId } from '../src/dom';
import { Bodies } from './bodies';
import { loadScene } from './overlay';
import type { Look } from './protocol';
import type { Transform } from './spec';
import { Surroundings } from './surroundings';

/** From the best to what a processor without a graphics card can do. */
const QUALITIES = [
  { ratio: 2, shadows: true, periodMs: 0 },
  { ratio: 1, shadows: true, periodMs: 0 },
  { ratio: 1, shadows: false, periodMs: 0 },
  { ratio: 0.5, shadows: false, periodMs: 150 },
] as const;
const PLAINEST = QUALITIES.length - 1;
const SLOW_FRAME_MS = 45;
const FRAMES_PER_VERDICT = 8;
const VIEW_FROM = new Vector3(-1.65, -1.25, 0.75);
const SOFTWARE = /swiftshader|llvmpipe|software|basic render/i;

export class Picture {
  private readonly renderer: WebGLRenderer;
  private readonly camera = new PerspectiveCamera(40, 1, 0.02, 500);
  private readonly orbit: OrbitControls;
  private readonly bodies: Bodies;
  private readonly surroundings: Surroundings;
  private readonly base = new Vector3();
  private quality = 0;
  private frames: number[] = [];
  private isAsking = false;
  private isPlaced = false;
  private isFollowing = true;
  private lastMs = 0;

  /** Throws when there is no WebGL. `look` is called when a new frame is wanted. */
  constructor(
    private readonly canvas: HTMLCanvasElement,
    model: Look,
    private readonly look: () => void,
  ) {
    const isPlain = drawsOnProcessor();
    if (isPlain) this.quality = PLAINEST;
    this.renderer = new WebGLRenderer({ canvas, antialias: !isPlain });
    this.renderer.shadowMap.type = PCFShadowMap;
    this.camera.up.set(0, 0, 1);
    this.orbit = new OrbitControls(this.camera, canvas);
    this.orbit.enableDamping = true;
    this.orbit.maxPolarAngle = Math.PI * 0.495;
    this.bodies = new Bodies(model, isPlain);
    this.surroundings = new Surroundings(this.bodies);
    this.applyQuality();
    this.renderer.setAnimationLoop((nowMs) => this.draw(nowMs));
  }

  /** Draw what the worker told. */
  show(poses: Float32Array, [x, y, z]: readonly [number, number, number]): void {
    this.isAsking = false;
    this.bodies.place(poses);
    const moved = new Vector3(x, y, z).sub(this.base);
    this.base.set(x, y, z);
    if (!this.isPlaced) this.aim();
    else if (this.isFollowing) {
      this.camera.position.add(moved);
      this.orbit.target.add(moved);
    }
    this.surroundings.follow(this.base);
    this.canvas.dataset['drawn'] = '';
  }

  /** Put the scene's own look over its physics. Throws an Error when it cannot be read. */
  async dress(url: string, transform: Transform): Promise<void> {
    this.surroundings.scene.add(await loadScene(url, transform));
    this.bodies.hideScene();
    this.canvas.dataset['scene'] = 'dressed';
  }

  toggleFollow(): void {
    this.isFollowing = !this.isFollowing;
    byId('follow', HTMLButtonElement).setAttribute('aria-pressed', String(this.isFollowing));
    if (this.isFollowing) this.aim();
  }

  stop(): void {
    this.renderer.setAnimationLoop(null);
  }

  private draw(nowMs: number): void {
    const { periodMs } = QUALITIES[this.quality] ?? QUALITIES[0];
    if (nowMs - this.lastMs < periodMs) return;
    this.judge(nowMs - this.lastMs);
    this.lastMs = nowMs;
    this.fit();
    this.orbit.update();
    this.renderer.render(this.surroundings.scene, this.camera);
    if (this.isAsking) return;
    this.isAsking = true;
    this.look();
  }

  /** From behind and above, as far as the robot is large. */
  private aim(): void {
    this.isPlaced = true;
    const reach = Math.max(0.3, this.bodies.robotSizeM());
    const narrow = Math.min(1, this.camera.aspect);
    this.orbit.target.copy(this.base);
    this.camera.position.copy(this.base).addScaledVector(VIEW_FROM, reach / narrow);
    this.orbit.minDistance = reach * 0.4;
    this.orbit.maxDistance = reach * 25;
    this.surroundings.fitTo(reach);
  }

  private fit(): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = this.renderer.getPixelRatio();
    if (this.canvas.width === Math.floor(width * ratio) && this.canvas.height === Math.floor(height * ratio)) return;
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / Math.max(1, height);
    this.camera.updateProjectionMatrix();
  }

  /** A picture that is too slow gets plainer: the processor belongs to the physics. */
  private judge(frameMs: number): void {
    this.frames.push(frameMs);
    if (this.frames.length < FRAMES_PER_VERDICT) return;
    const median = this.frames.sort((one, other) => one - other)[FRAMES_PER_VERDICT / 2] ?? 0;
    this.frames = [];
    if (median < SLOW_FRAME_MS || this.quality === PLAINEST) return;
    this.quality += 1;
    this.applyQuality();
  }

  private applyQuality(): void {
    const { ratio, shadows } = QUALITIES[this.quality] ?? QUALITIES[0];
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio, ratio));
    this.renderer.shadowMap.enabled = shadows;
    this.surroundings.castShadows(shadows);
  }
}

/** Throws an Error when there is no WebGL at all. */
function drawsOnProcessor(): boolean {
  const context = document.createElement('canvas').getContext('webgl2');
  if (context === null) throw new Error('There is no WebGL here.');
  const told = context.getExtension('WEBGL_debug_renderer_info');
  const name = String(context.getParameter(told ? told.UNMASKED_RENDERER_WEBGL : context.RENDERER));
  context.getExtension('WEBGL_lose_context')?.loseContext();
  return SOFTWARE.test(name);
}
