// Bundles davit: see program.mjs.
import fs from 'node:fs';
import path from 'node:path';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { buildProgram, loadProgram, saveCache } from './program.mjs';

export async function bundleCli(define) {
  await buildProgram('davit', 'cli/main.ts', { define });
  const program = loadProgram('davit');
  await exercise(program.exports);
  saveCache('davit', program);
}

/** Runs a few commands against a daemon that knows nothing, so that the cache holds the code they need. */
async function exercise({ main }) {
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
      await main(['--address', socket, '--timeout', '10s', ...command], {});
    }
  } finally {
    fs.writeSync = writeSync;
    daemon.forceShutdown();
    fs.rmSync(directory, { recursive: true, force: true });
  }
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
