// Mounting through mount(8) and umount(8).
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { MountCalls } from './temporary.ts';

const run = promisify(execFile);

export const systemMounts: MountCalls = {
  async mount(mounts, target) {
    for (const { type, source, options } of mounts) {
      const kind = type === 'bind' ? [] : ['-t', type];
      await run('mount', [...kind, '-o', options.join(','), source, target]);
    }
  },
  async unmount(target) {
    while (await isMounted(target)) await run('umount', [target]);
  },
};

async function isMounted(target: string): Promise<boolean> {
  const lines = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n');
  return lines.some((line) => line.split(' ')[4] === target);
}
