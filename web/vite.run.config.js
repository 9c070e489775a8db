// SPDX-License-Identifier: Apache-2.0
// The run page: a second bundle, below the first. Its engines are WebAssembly from npm, stored compressed.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'fflate';
import { defineConfig } from 'vite';

// As in test/web/test_run_bundle.py. What is shared with the first page is named file by file.
const SOURCES = [
  'package-lock.json',
  'package.json',
  'public',
  'run',
  'src/address.ts',
  'src/dom.ts',
  'src/format.ts',
  'src/style/base.css',
  'tsconfig.json',
  'vite.run.config.js',
];
const ENGINES = {
  'engine/mujoco.wasm.gz': 'node_modules/@mujoco/mujoco/mujoco.wasm',
  'engine/onnxruntime.wasm.gz': 'node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded.wasm',
};

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

/** The engines: without their debug sections (half of MuJoCo's), gzipped by fflate, whose output is the same everywhere. */
function engines() {
  return {
    name: 'engines',
    generateBundle() {
      for (const [fileName, path] of Object.entries(ENGINES)) {
        const source = gzipSync(withoutCustomSections(readFileSync(path)), { level: 9, mtime: 0 });
        this.emitFile({ type: 'asset', fileName, source });
      }
      this.emitFile({ type: 'asset', fileName: 'engine/notices.md', source: readFileSync('run/notices.md') });
    },
  };
}

/** WebAssembly binary format, 5.5: sections of id 0 mean nothing to the machine. */
function withoutCustomSections(wasm) {
  const kept = [wasm.subarray(0, 8)];
  for (let at = 8; at < wasm.length; ) {
    let size = 0;
    let next = at + 1;
    for (let shift = 0, more = true; more; shift += 7, next += 1) {
      size += (wasm[next] & 0x7f) * 2 ** shift;
      more = wasm[next] >= 0x80;
    }
    if (wasm[at] !== 0) kept.push(wasm.subarray(at, next + size));
    at = next + size;
  }
  return Buffer.concat(kept);
}

/** Replaces text in the engines' JavaScript, and fails when it is not there once: a new version needs a new look. */
function patch(name, file, pairs) {
  return {
    name,
    enforce: 'pre',
    transform(code, id) {
      if (!id.split('?')[0].endsWith(file)) return null;
      return pairs.reduce((text, [found, replacement]) => {
        if (text.split(found).length !== 2) throw new Error(`${file} has not exactly one: ${found}`);
        return text.replace(found, () => replacement);
      }, code);
    },
  };
}

// Embind writes its calls as source text, which a page without 'unsafe-eval' may not run; here they are closures.
const MUJOCO = [
  ["var ENVIRONMENT_IS_NODE = typeof process == 'object' && process.versions?.node && process.type != 'renderer';", 'var ENVIRONMENT_IS_NODE = false;'],
  ["const { createRequire } = await import('module');", 'const createRequire = null;'],
  ["return new URL('mujoco.wasm', import.meta.url).href;", "return 'mujoco.wasm';"],
  [
    `      let [args, invokerFnBody] = createJsInvoker(argTypes, isClassMethodFunc, returns, isAsync);
      var invokerFn = new Function(...args, invokerFnBody)(...closureArgs);`,
    `      var invokerFn = function () {
        checkArgCount(arguments.length, minArgs, expectedArgCount, humanName, throwBindingError);
        var destructors = needsDestructorStack ? [] : null;
        var wired = [cppTargetFunc];
        if (isClassMethodFunc) wired.push(argTypes[1]['toWireType'](destructors, this));
        for (var i = 0; i < expectedArgCount; ++i) wired.push(argTypes[i + 2]['toWireType'](destructors, arguments[i]));
        var rv = cppInvokerFunc.apply(null, wired);
        if (needsDestructorStack) {
          runDestructors(destructors);
        } else {
          for (var i = isClassMethodFunc ? 1 : 2; i < argTypes.length; ++i) {
            if (argTypes[i].destructorFunction !== null) argTypes[i].destructorFunction(wired[isClassMethodFunc ? i : i - 1]);
          }
        }
        if (returns) return argTypes[0]['fromWireType'](rv);
      };`,
  ],
  [
    'var invokerFunction = new Function(...params, functionBody)(...args);',
    `var invokerFunction = function (obj, func, destructorsRef, args) {
        var values = kind === 0 ? [obj] : [];
        var offset = 0;
        for (var i = 0; i < argCount; ++i) {
          values.push(types[i].readValueFromPointer(args + offset));
          offset += types[i].argPackAdvance;
        }
        var rv = kind === 1 ? new func(...values) : func.call(...values);
        if (!retType.isVoid) return emval_returnValue(retType, destructorsRef, rv);
      };`,
  ],
];

const enginePatches = () => [
  patch('mujoco-without-eval', '@mujoco/mujoco/mujoco.js', MUJOCO),
  // The worker hands the binary over; the bundler would take the address for a file to ship a second time.
  patch('onnxruntime-without-address', 'onnxruntime-web/dist/ort.wasm.bundle.min.mjs', [
    [':new URL("ort-wasm-simd-threaded.wasm",import.meta.url).href,r=await', ':"ort-wasm-simd-threaded.wasm",r=await'],
    ['{wasm:new URL("ort-wasm-simd-threaded.wasm",import.meta.url).href}', '{wasm:"ort-wasm-simd-threaded.wasm"}'],
  ]),
];

const names = (entry) => ({ entryFileNames: entry, chunkFileNames: '[name].js', assetFileNames: (asset) => (asset.names[0]?.endsWith('.css') ? 'app.css' : '[name][extname]') });

export default defineConfig({
  root: 'run',
  base: '/ui/run/',
  publicDir: '../public',
  plugins: [sourcesDigest(), engines()],
  worker: { format: 'es', plugins: enginePatches, rolldownOptions: { output: names('worker.js') } },
  build: {
    outDir: '../../lerobot_arena/bridge/ui/run',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    license: { fileName: 'licenses.md' },
    chunkSizeWarningLimit: 1000,
    rolldownOptions: { output: names('app.js') },
  },
});
