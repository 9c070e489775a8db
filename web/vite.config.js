// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vite';

const BRIDGE = 'http://127.0.0.1:8001';
const SOURCES = ['index.html', 'package-lock.json', 'package.json', 'public', 'src', 'tsconfig.json', 'vite.config.js'];

function filesBelow(path) {
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path).flatMap((name) => filesBelow(join(path, name)));
}

/** Writes what the bundle was made of, so that a machine without npm can tell a stale one (test/web). */
function sourcesDigest() {
  return {
    name: 'sources-digest',
    generateBundle() {
      const hash = createHash('sha256');
      for (const path of SOURCES.flatMap(filesBelow).sort()) {
        hash.update(`${path}\0`).update(readFileSync(path)).update('\0');
      }
      this.emitFile({ type: 'asset', fileName: 'sources.sha256', source: `${hash.digest('hex')}\n` });
    },
  };
}

// File names carry no content hash: the bundle is committed, and a diff should show what changed.
export default defineConfig({
  base: '/ui/',
  plugins: [sourcesDigest()],
  build: {
    outDir: '../lerobot_arena/bridge/ui',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
  server: {
    proxy: {
      '/api': BRIDGE,
      '/sessions': BRIDGE,
      '/ws': { target: BRIDGE, ws: true },
    },
  },
});
