// File trees through Node, for machines without the native addon.
import { execFile } from 'node:child_process';
import { lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { errnoCode } from '../../lib/errors.ts';
import type { Usage } from '../api.ts';
import type { TreeFiles } from './files.ts';

const run = promisify(execFile);
const BLOCK = 512;

export const nodeFiles: TreeFiles = {
  async usage(folder) {
    const seen = new Set<number>();
    return { size: await sizeOf(folder, seen), inodes: seen.size } satisfies Usage;
  },
  remove: (folder) => rm(folder, { recursive: true, force: true }),
  async sync(folder) {
    await run('sync', ['-f', folder]);
  },
  async copy(from, to) {
    await run('cp', ['-a', `${from}/.`, to]);
  },
};

async function sizeOf(file: string, seen: Set<number>): Promise<number> {
  try {
    const stats = await lstat(file);
    if (seen.has(stats.ino)) return 0;
    seen.add(stats.ino);
    let size = stats.blocks * BLOCK;
    if (stats.isDirectory()) for (const name of await readdir(file)) size += await sizeOf(path.join(file, name), seen);
    return size;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return 0;
    throw error;
  }
}
