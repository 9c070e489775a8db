// SPDX-License-Identifier: Apache-2.0
// Light, haze and ground, in the colours of the page.

import {
  CanvasTexture,
  Color,
  DirectionalLight,
  Fog,
  HemisphereLight,
  LinearMipmapLinearFilter,
  Mesh,
  MeshLambertMaterial,
  PlaneGeometry,
  RepeatWrapping,
  Scene,
  SRGBColorSpace,
  Vector3,
} from 'three';

import type { Bodies } from './bodies';

interface Theme {
  sky: string;
  ground: string;
  line: string;
  strong: string;
  sun: number;
  ambient: number;
}

const LIGHT: Theme = { sky: '#eef1f4', ground: '#e4e9ee', line: '#d0d8e0', strong: '#b6c2ce', sun: 2.2, ambient: 2 };
const DARK: Theme = { sky: '#121922', ground: '#1a212a', line: '#27323e', strong: '#3a4a5a', sun: 2.6, ambient: 1.3 };
const CELLS = 2;
const TEXTURE_PIXELS = 1024;
const GROUND_M = 400;
const SUN_FROM = new Vector3(-1.1, -0.9, 2.4);

export class Surroundings {
  readonly scene = new Scene();
  private readonly sun = new DirectionalLight('#ffffff');
  private readonly ambient = new HemisphereLight('#ffffff', '#8894a0');
  private readonly texture = gridTexture();
  private readonly grounds: readonly Mesh[];
  private reachM = 1;

  constructor(bodies: Bodies) {
    this.grounds = bodies.grounds.map((plane) => this.cover(plane));
    this.scene.add(bodies, this.sun, this.sun.target, this.ambient, ...bodies.grounds);
    this.sun.shadow.mapSize.set(2048, 2048);
    this.sun.shadow.bias = -0.0004;
    this.sun.shadow.normalBias = 0.01;
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    dark.addEventListener('change', () => this.paint(dark.matches ? DARK : LIGHT));
    this.paint(dark.matches ? DARK : LIGHT);
  }

  castShadows(isOn: boolean): void {
    this.sun.castShadow = isOn;
  }

  /** Sun and haze for a robot of this size. */
  fitTo(reachM: number): void {
    this.reachM = reachM;
    const camera = this.sun.shadow.camera;
    const half = 2.2 * reachM;
    [camera.left, camera.right, camera.bottom, camera.top] = [-half, half, -half, half];
    [camera.near, camera.far] = [0.1 * reachM, 12 * reachM];
    camera.updateProjectionMatrix();
    if (this.scene.fog instanceof Fog) [this.scene.fog.near, this.scene.fog.far] = [8 * reachM + 4, 22 * reachM + 14];
  }

  follow(base: Vector3): void {
    this.sun.target.position.copy(base);
    this.sun.position.copy(base).addScaledVector(SUN_FROM, 2 * this.reachM);
    for (const ground of this.grounds) {
      // By whole tiles, so that the lines stay where they are.
      ground.position.set(CELLS * Math.round(base.x / CELLS), CELLS * Math.round(base.y / CELLS), 0);
    }
  }

  /** A plane without borders becomes a wide sheet with lines of a metre, in the plane's own frame. */
  private cover(plane: Mesh): Mesh {
    const sheet = new Mesh(new PlaneGeometry(GROUND_M, GROUND_M), new MeshLambertMaterial({ map: this.texture }));
    sheet.receiveShadow = true;
    plane.geometry = new PlaneGeometry(0, 0);
    plane.add(sheet);
    return sheet;
  }

  private paint(theme: Theme): void {
    this.scene.background = new Color(theme.sky);
    if (this.scene.fog) this.scene.fog.color.set(theme.sky);
    else this.scene.fog = new Fog(theme.sky, 12, 40);
    this.sun.intensity = theme.sun;
    this.ambient.intensity = theme.ambient;
    drawGrid(this.texture, theme);
  }
}

function gridTexture(): CanvasTexture {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = TEXTURE_PIXELS;
  const texture = new CanvasTexture(canvas);
  texture.colorSpace = SRGBColorSpace;
  texture.wrapS = texture.wrapT = RepeatWrapping;
  texture.repeat.set(GROUND_M / CELLS, GROUND_M / CELLS);
  texture.minFilter = LinearMipmapLinearFilter;
  texture.anisotropy = 8;
  return texture;
}

/** One tile: a line every metre, a stronger one around. */
function drawGrid(texture: CanvasTexture, theme: Theme): void {
  const pen = (texture.image as HTMLCanvasElement).getContext('2d');
  if (!pen) return;
  const cell = TEXTURE_PIXELS / CELLS;
  pen.fillStyle = theme.ground;
  pen.fillRect(0, 0, TEXTURE_PIXELS, TEXTURE_PIXELS);
  for (let index = 0; index < CELLS; index += 1) {
    pen.fillStyle = index === 0 ? theme.strong : theme.line;
    const width = index === 0 ? 8 : 5;
    pen.fillRect(index * cell, 0, width, TEXTURE_PIXELS);
    pen.fillRect(0, index * cell, TEXTURE_PIXELS, width);
  }
  texture.needsUpdate = true;
}
