// Mounts a snapshot for a test, with the system's own mount(8): what works with it works with others.
import { execFile } from 'node:child_process';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Mount } from '../../lib/mount.ts';

const run = promisify(execFile);

/** Runs `work` with the path at which `mounts` are mounted; always unmounts. */
export async function withMounts<T>(mounts: readonly Mount[], work: (root: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(path.join(tmpdir(), 'snapshot-'));
  let mounted = 0;
  try {
    for (const { type, source, options } of mounts) {
      const kind = type === 'bind' ? [] : ['-t', type];
      await run('mount', [...kind, '-o', options.join(','), source, root]);
      mounted++;
    }
    return await work(root);
  } finally {
    for (; mounted > 0; mounted--) await run('umount', [root]);
    await rmdir(root);
  }
}
