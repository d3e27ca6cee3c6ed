// A file that a command writes: there in full under its name, or not at all.
import { randomBytes } from 'node:crypto';
import { constants, createWriteStream, openSync } from 'node:fs';
import { realpath, rename, rm, stat } from 'node:fs/promises';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { stdout } from './output.ts';

/**
 * Runs `work` with what writes to the file; `-` is stdout. A file that is there already stays as it is until
 * `work` has succeeded; a pipe or device is written to as it is, and never removed.
 */
export async function withArchive(
  file: string,
  signal: AbortSignal,
  work: (output: Writable) => Promise<void>,
): Promise<void> {
  if (file === '-') return await work(stdout());
  const target = await realpath(file).catch(() => file);
  const found = await stat(target).catch(() => undefined);
  if (found?.isFIFO()) return await filled(await pipe(target, signal), work);
  if (found !== undefined && !found.isFile()) return await filled(createWriteStream(target), work);
  const place = `${target}.${randomBytes(4).toString('hex')}.partial`;
  try {
    await filled(createWriteStream(place, { flags: 'wx' }), work);
    await rename(place, target);
  } catch (error) {
    await rm(place, { force: true });
    throw error;
  }
}

async function filled(output: Writable, work: (output: Writable) => Promise<void>): Promise<void> {
  try {
    await work(output);
    output.end();
    await finished(output);
  } finally {
    output.destroy();
  }
}

const LOOK_MS = 50;

/** Writing to a pipe that nobody reads must not hold up the end of this program: nothing here blocks. */
async function pipe(target: string, signal: AbortSignal): Promise<Writable> {
  for (;;) {
    try {
      const fd = openSync(target, constants.O_WRONLY | constants.O_NONBLOCK);
      return new Socket({ fd, readable: false, writable: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
      // Nobody has opened the other end yet.
      await sleep(LOOK_MS, undefined, { signal });
    }
  }
}
