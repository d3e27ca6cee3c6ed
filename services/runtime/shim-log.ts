// The log of a shim that is not ours: a FIFO in the bundle, which containerd's library for shims
// demands and blocks on. Its lines go into the daemon's log.
import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import type { Logger } from '../lib/log.ts';
import type { Bundle } from './bundle.ts';
import type { RunProgram } from './program.ts';

/** Longer lines are cut. */
const MAX_LINE = 16 << 10;

export async function makeShimLog(bundle: Bundle, run: RunProgram): Promise<void> {
  const file = path.join(bundle.path, 'log');
  const { code, stderr } = await run({ file: 'mkfifo', args: ['-m', '0600', file], env: process.env, timeoutMs: 5000 });
  if (code !== 0) throw new Error(stderr.toString('utf8').trim());
}

/** Reads until the function returned is called. Opened for reading and writing, so that it neither blocks nor ends. */
export function followShimLog(bundle: Bundle, log: Logger): () => void {
  const fd = openSync(path.join(bundle.path, 'log'), constants.O_RDWR | constants.O_NONBLOCK);
  const socket = new Socket({ fd, readable: true, writable: false });
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) write(log, bundle, line.slice(0, MAX_LINE));
  });
  return () => socket.destroy();
}

function write(log: Logger, bundle: Bundle, line: string): void {
  if (line === '') return;
  const level = /\blevel=(\w+)/.exec(line)?.[1];
  const fields = { namespace: bundle.namespace, id: bundle.id, line };
  if (level === 'error' || level === 'fatal' || level === 'panic') log.error('shim', fields);
  else if (level === 'warning') log.warn('shim', fields);
  else log.debug('shim', fields);
}
