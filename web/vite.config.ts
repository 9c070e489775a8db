// SPDX-License-Identifier: Apache-2.0
import { defineConfig } from 'vite';

const BRIDGE = 'http://127.0.0.1:8001';

// File names carry no hash: the bundle is committed, and the bridge sends an ETag.
export default defineConfig({
  base: '/ui/',
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
