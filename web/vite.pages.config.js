// SPDX-License-Identifier: Apache-2.0
// The small public pages: `vite build -c vite.pages.config.js --mode arena` builds web/arena, a bundle of its own.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { defineConfig } from 'vite';

// As in test/web/test_pages_bundle.py. What is shared with the other pages is named file by file.
const SOURCES = [
  'arena',
  'leaderboard',
  'owner',
  'package-lock.json',
  'package.json',
  'pages',
  'public',
  'run/keys.ts',
  'src/address.ts',
  'src/credential.ts',
  'src/dom.ts',
  'src/format.ts',
  'src/json.ts',
  'src/poll.ts',
  'src/style/base.css',
  'tsconfig.json',
  'vite.pages.config.js',
];

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

export default defineConfig(({ mode: page }) => ({
  root: page,
  base: `/ui/${page}/`,
  publicDir: '../public',
  plugins: [sourcesDigest()],
  build: {
    outDir: `../../lerobot_arena/bridge/ui/${page}`,
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        entryFileNames: 'app.js',
        chunkFileNames: '[name].js',
        assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]'),
      },
    },
  },
}));
