// The log of the shims: one FIFO for all of them, hard-linked into every bundle as `log`, where
// containerd's library for shims demands and opens one. Its lines go into the daemon's log; while no
// daemon reads, what does not fit into the FIFO is lost.
import { constants, linkSync, openSync, statSync, unlinkSync } from 'node:fs';
import { Socket } from 'node:net';
import path from 'node:path';
import { errnoCode, Failure } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Bundle } from './bundle.ts';
import type { RunProgram } from './program.ts';

/** Longer lines are cut. */
const MAX_LINE = 16 << 10;

export interface ShimLog {
  /** Gives a bundle its `log`. */
  readonly link: (bundle: Bundle) => void;
  readonly close: () => void;
}

/** Opened for reading and writing, so that it neither blocks nor ends. */
export async function openShimLog(file: string, run: RunProgram, log: Logger): Promise<ShimLog> {
  if (!isFifo(file)) await makeFifo(file, run);
  const socket = new Socket({
    fd: openSync(file, constants.O_RDWR | constants.O_NONBLOCK),
    readable: true,
    writable: false,
  });
  let rest = '';
  socket.setEncoding('utf8');
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = (lines.pop() ?? '').slice(0, MAX_LINE);
    for (const line of lines) write(log, line.slice(0, MAX_LINE));
  });
  return {
    link: (bundle) => linkSync(file, path.join(bundle.path, 'log')),
    close: () => socket.destroy(),
  };
}

function isFifo(file: string): boolean {
  try {
    if (statSync(file).isFIFO()) return true;
    unlinkSync(file);
  } catch (error) {
    if (errnoCode(error) !== 'ENOENT') throw error;
  }
  return false;
}

async function makeFifo(file: string, run: RunProgram): Promise<void> {
  const { code, stderr } = await run({ file: 'mkfifo', args: ['-m', '0600', file], env: process.env, timeoutMs: 5000 });
  if (code !== 0) throw new Failure('internal', `make FIFO "${file}": ${stderr.toString('utf8').trim()}: internal`);
}

function write(log: Logger, line: string): void {
  if (line === '') return;
  const level = /\blevel=(\w+)/.exec(line)?.[1];
  if (level === 'error' || level === 'fatal' || level === 'panic') log.error('shim', { line });
  // Our own shim writes when something is wrong, and gives no level.
  else if (level === 'warning' || level === undefined) log.warn('shim', { line });
  else log.debug('shim', { line });
}
