// Bundles davitd: see program.mjs. The LevelDB binding goes beside it as bin/leveldb.node.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { createRequire } from 'node:module';
import { Client, credentials } from '@grpc/grpc-js';
import { buildProgram, loadProgram, saveCache } from './program.mjs';

const require = createRequire(import.meta.url);

/** Loads the binding from beside the program, with nothing to search for at each start. */
const levelBinding = {
  name: 'level-binding',
  setup({ onLoad }) {
    onLoad({ filter: /\/classic-level\/binding\.js$/ }, ({ path: file }) => {
      const binding = createRequire(file)('node-gyp-build').path(path.dirname(file));
      // A running daemon has the old file mapped.
      fs.rmSync('bin/leveldb.node', { force: true });
      fs.copyFileSync(binding, 'bin/leveldb.node');
      return { contents: `module.exports = require(__dirname + '/leveldb.node');`, loader: 'js' };
    });
  },
};

/** Takes the regular expressions' tables, which are large, when the first filter has one. */
const lateExpressions = {
  name: 'late-expressions',
  setup({ onLoad, onResolve }) {
    const namespace = 'late';
    onResolve({ filter: /^re2js$/ }, ({ importer }) =>
      importer === 're2js' ? undefined : { path: 're2js', namespace },
    );
    onLoad({ filter: /.*/, namespace }, () => ({
      contents: `exports.RE2JS = { compile: (...args) => require('re2js').RE2JS.compile(...args) };`,
      resolveDir: process.cwd(),
    }));
  },
};

export async function bundleDaemon(define) {
  await buildProgram('davitd', 'services/daemon/main.ts', { define, plugins: [levelBinding, lateExpressions] });
  const program = loadProgram('davitd');
  await exercise(program.exports).catch((error) => {
    console.error(`bundle: davitd will start a little slower: it does not run here: ${error.message}`);
  });
  saveCache('davitd', program);
}

/** Starts the daemon over a task that outlived another and asks it a few things, so that the cache holds what that takes. */
async function exercise({ main }) {
  const folder = fs.mkdtempSync('/tmp/davit-bundle-');
  const at = (name) => path.join(folder, name);
  const shim = net.createServer(answer).listen(at('shim'));
  const bundle = at('state/tasks/default/id');
  fs.mkdirSync(path.join(bundle, 'rootfs'), { recursive: true });
  fs.symlinkSync('/containerd-shim-davit-v1', path.join(bundle, 'shim'));
  fs.writeFileSync(path.join(bundle, 'address'), `unix://${at('shim')}`);
  const args = ['--root', at('root'), '--state', at('state'), '--address', at('sock'), '--log-level', 'fatal'];
  const running = main([...args, '--config', '/dev/null']);
  try {
    await Promise.race([ask(at('sock')), running]);
    process.emit('SIGTERM');
    await running;
  } finally {
    shim.close();
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

/** A shim that knows every task, and answers every question with a message without fields. */
function answer(socket) {
  socket.on('data', (data) => {
    for (let at = 0; at + 10 <= data.length; at += 10 + data.readUInt32BE(at)) {
      const header = Buffer.from(data.subarray(at, at + 10));
      header.writeUInt32BE(0, 0);
      header[8] = 2;
      socket.write(header);
    }
  });
  socket.on('error', () => undefined);
}

async function ask(socket) {
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  const { Metadata } = require('@grpc/grpc-js');
  const metadata = new Metadata();
  metadata.set('containerd-namespace', 'default');
  const bytes = (value) => value;
  try {
    await new Promise((resolve, reject) =>
      client.waitForReady(Date.now() + 20_000, (error) => (error ? reject(error) : resolve())),
    );
    for (const method of [
      'version.v1.Version/Version',
      'tasks.v1.Tasks/List',
      'containers.v1.Containers/List',
      'containers.v1.Containers/Get',
      'images.v1.Images/List',
      'images.v1.Images/Get',
      'leases.v1.Leases/Create',
      'snapshots.v1.Snapshots/Prepare',
      'snapshots.v1.Snapshots/Stat',
      'content.v1.Content/Info',
      'tasks.v1.Tasks/Get',
    ]) {
      await new Promise((resolve) =>
        client.makeUnaryRequest(
          `/containerd.services.${method}`,
          bytes,
          bytes,
          Buffer.alloc(0),
          metadata,
          // Most of them fail: what is asked for is not there.
          resolve,
        ),
      );
    }
  } finally {
    client.close();
  }
}
