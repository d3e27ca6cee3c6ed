import { lstat, readdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TreeFiles } from '../drivers/files.ts';
export const plainFiles: TreeFiles = {
  async usage(folder) {
    const seen = new Set<number>();
    let size = 0;
    const add = async (file: string): Promise<void> => {
      const s = await lstat(file);
      if (!seen.has(s.ino)) {
        seen.add(s.ino);
        size += s.blocks * 512;
      }
      if (s.isDirectory()) for (const n of await readdir(file)) await add(path.join(file, n));
    };
    await add(folder);
    return { size, inodes: seen.size };
  },
  remove: (folder) => rm(folder, { recursive: true, force: true }),
  copy: async (from, to) => {
    await promisify(execFile)('cp', ['-a', `${from}/.`, to]);
  },
};
