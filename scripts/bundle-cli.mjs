// Bundles davit so that it starts fast.
//
//   bin/davit            a launcher for sh: finds node and the files beside it
//   bin/davit.start.cjs  compiles the program, or takes V8's code cache in place of compiling
//   bin/davit.cjs        the program in one file; what a command does not need is never run
//   bin/davit.cache      the code cache, good for the node that built it; another node ignores it
import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';
import { createRequire } from 'node:module';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { build } from 'esbuild';

const BIN = path.resolve('bin');
const PROGRAM = path.join(BIN, 'davit.cjs');

// Node reads the certificates in NODE_EXTRA_CA_CERTS at every start, which takes longer than most
// commands; davit's connections name their certificates themselves.
const LAUNCHER = `#!/bin/sh
# davit: see scripts/bundle-cli.mjs
unset NODE_EXTRA_CA_CERTS
self=$0
[ -L "$self" ] && self=$(readlink -f "$self")
exec node "\${self%/*}/davit.start.cjs" "$@"
`;

const START = `'use strict';
// Written by scripts/bundle-cli.mjs.
const { readFileSync } = require('node:fs');
const { Script } = require('node:vm');
const file = __dirname + '/davit.cjs';
// The bundle is ASCII: reading it as such costs nothing.
const source = '(function (exports, require, module, __filename, __dirname) {' + readFileSync(file, 'latin1') + '\\n})';
let cachedData;
try {
  cachedData = readFileSync(__dirname + '/davit.cache');
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
  setup(build) {
    build.onLoad({ filter: /\/proto\/descriptors\.ts$/ }, () => {
      const json = JSON.stringify(fs.readFileSync('proto/gen/containerd.json', 'utf8'));
      return {
        contents: `let parsed; export const descriptors = () => (parsed ??= JSON.parse(${json}));`,
        loader: 'js',
      };
    });
  },
};

export async function bundleCli(define) {
  await build({
    entryPoints: ['cli/main.ts'],
    outfile: PROGRAM,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    sourcemap: 'external',
    legalComments: 'none',
    charset: 'ascii',
    plugins: [embedDescriptors],
    define,
    logLevel: 'warning',
  });
  fs.writeFileSync(path.join(BIN, 'davit.start.cjs'), START);
  fs.writeFileSync(path.join(BIN, 'davit'), LAUNCHER, { mode: 0o755 });
  fs.chmodSync(path.join(BIN, 'davit'), 0o755);
  fs.writeFileSync(path.join(BIN, 'davit.cache'), await codeCache());
}

/** Runs a few commands against a daemon that knows nothing, so that the cache holds the code they need. */
async function codeCache() {
  const source = `(function (exports, require, module, __filename, __dirname) {${fs.readFileSync(PROGRAM, 'latin1')}\n})`;
  const script = new vm.Script(source, { filename: PROGRAM });
  const bundled = { exports: {} };
  script.runInThisContext()(bundled.exports, createRequire(PROGRAM), bundled, PROGRAM, BIN);
  const directory = fs.mkdtempSync('/tmp/davit-bundle-');
  const socket = path.join(directory, 'sock');
  const daemon = await emptyDaemon(socket);
  // What those commands say is nobody's concern.
  const { writeSync } = fs;
  fs.writeSync = (_fd, bytes) => bytes.length;
  try {
    for (const command of [
      ['version'],
      ['images', 'ls'],
      ['run', '--rm', 'image', 'id', 'true'],
      ['tasks', 'exec', 'id', 'true'],
    ]) {
      await bundled.exports.main(['--address', socket, '--timeout', '10s', ...command], {});
    }
  } finally {
    fs.writeSync = writeSync;
    daemon.forceShutdown();
    fs.rmSync(directory, { recursive: true, force: true });
  }
  return script.createCachedData();
}

/** Answers every unary call that those commands make with a message without fields. */
async function emptyDaemon(socket) {
  const server = new Server();
  const bytes = (value) => value;
  const services = {
    'version.v1.Version': ['Version'],
    'introspection.v1.Introspection': ['Server'],
    'images.v1.Images': ['Get', 'List'],
    'leases.v1.Leases': ['Create', 'Delete'],
    'namespaces.v1.Namespaces': ['Get'],
    'containers.v1.Containers': ['Get'],
  };
  for (const [service, methods] of Object.entries(services)) {
    for (const method of methods) {
      const handler = (_call, done) => done(null, Buffer.alloc(0));
      server.register(`/containerd.services.${service}/${method}`, handler, bytes, bytes, 'unary');
    }
  }
  await new Promise((resolve, reject) => {
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  return server;
}
