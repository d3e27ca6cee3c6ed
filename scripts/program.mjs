// A program of bin/ that starts fast: what a Node program costs before its first line is mostly
// finding, reading and compiling modules.
//
//   bin/NAME            a launcher for sh: finds node and the files beside it
//   bin/NAME.start.cjs  compiles the program, or takes V8's code cache in place of compiling
//   bin/NAME.cjs        the program in one file; it exports start()
//   bin/NAME.cache      the code cache, good for the node that built it; another node ignores it
//
// No option of V8 on the command line: with one, V8 takes no cached code, neither ours nor that of
// Node's own modules, and every start is 20 ms longer.
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { build } from 'esbuild';

const BIN = path.resolve('bin');

// Node reads the certificates in NODE_EXTRA_CA_CERTS at every start, which takes longer than all
// else; davit's connections name their certificates themselves.
const launcher = (name) => `#!/bin/sh
# ${name}: see scripts/program.mjs
unset NODE_EXTRA_CA_CERTS
self=$0
[ -L "$self" ] && self=$(readlink -f "$self")
exec node "\${self%/*}/${name}.start.cjs" "$@"
`;

const starter = (name) => `'use strict';
// Written by scripts/program.mjs.
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const file = __dirname + '/${name}.cjs';
process.argv[1] = __dirname + '/${name}';
// The bundle is ASCII: reading it as such costs nothing.
const source = '(function (exports, require, module, __filename, __dirname) {' + readFileSync(file, 'latin1') + '\\n})';
let cachedData;
try {
  cachedData = readFileSync(__dirname + '/${name}.cache');
} catch {
  // It starts slower without.
}
const script = new Script(source, { filename: file, cachedData });
const bundled = { exports: {} };
script.runInThisContext()(bundled.exports, require, bundled, file, __dirname);
bundled.exports.start();
`;

/** The descriptors as part of the program. */
const embedDescriptors = {
  name: 'embed-descriptors',
  setup({ onLoad }) {
    onLoad({ filter: /\/proto\/descriptors\.ts$/ }, () => {
      const bundle = (name) => JSON.stringify(fs.readFileSync(`proto/gen/${name}.json`, 'utf8'));
      return {
        contents: `
          const texts = { containerd: ${bundle('containerd')}, cri: ${bundle('cri')}, nri: ${bundle('nri')} };
          const parsed = {};
          export const descriptors = (name) => (parsed[name] ??= JSON.parse(texts[name]));`,
        loader: 'js',
      };
    });
  },
};

/** Writes all but the cache. `entry` exports start(). */
export async function buildProgram(name, entry, { define, plugins = [] }) {
  await build({
    entryPoints: [entry],
    outfile: path.join(BIN, `${name}.cjs`),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: 'external',
    legalComments: 'none',
    charset: 'ascii',
    plugins: [embedDescriptors, ...plugins],
    banner: { js: `const importMetaUrl = require('node:url').pathToFileURL(__filename).href;` },
    define: { ...define, 'import.meta.url': 'importMetaUrl' },
    logLevel: 'warning',
  });
  fs.writeFileSync(path.join(BIN, `${name}.start.cjs`), starter(name));
  // A cache is taken for any program of the same length.
  for (const old of [name, `${name}.cache`]) fs.rmSync(path.join(BIN, old), { force: true });
  fs.writeFileSync(path.join(BIN, name), launcher(name), { mode: 0o755 });
}

/** As the starter has it: a cache is for one text. */
function sourceOf(file) {
  return `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(file, 'latin1')}\n})`;
}

/** Runs the program's modules, but not start(), as its starter does. */
export function loadProgram(name) {
  const file = path.join(BIN, `${name}.cjs`);
  const script = new vm.Script(sourceOf(file), { filename: file });
  const bundled = { exports: {} };
  script.runInThisContext()(bundled.exports, createRequire(file), bundled, file, BIN);
  return { script, exports: bundled.exports };
}

/** Keeps the code of all functions that were called since it was loaded. */
export function saveCache(name, { script }) {
  const [file, cache] = ['cjs', 'cache'].map((end) => path.join(BIN, `${name}.${end}`));
  fs.writeFileSync(cache, script.createCachedData());
  // In a process of its own: what was run in this one may have changed what V8 compares.
  const check = `
    const { readFileSync } = require('node:fs');
    const fs = { readFileSync };
    const source = (${sourceOf.toString()})(process.argv[1]);
    const script = new vm.Script(source, { cachedData: readFileSync(process.argv[2]) });
    process.exit(script.cachedDataRejected ? 1 : 0);`;
  const { status } = spawnSync(process.execPath, ['-e', check, file, cache], { stdio: 'inherit' });
  if (status !== 0) throw new Error(`bundle: ${name}: V8 does not take its own code cache`);
}
