// Snapshots as folders of this machine.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import type { Mount } from '../../proto/gen/containerd.types.ts';

/** Runs work in the mounted snapshot. */
export function mounted<T>(mounts: readonly Mount[], work: (directory: string) => T): T {
  const directory = mkdtempSync('/tmp/davit-mount-');
  for (const { type, source, options } of mounts) {
    const flags = options.filter((option) => option !== 'rbind' && option !== 'bind');
    const how = type === 'bind' ? ['--bind'] : ['-t', type];
    execFileSync('mount', [...how, ...(flags.length > 0 ? ['-o', flags.join(',')] : []), source, directory]);
    if (type === 'bind' && options.includes('ro')) execFileSync('mount', ['-o', 'remount,bind,ro', directory]);
  }
  try {
    return work(directory);
  } finally {
    mounts.forEach(() => execFileSync('umount', [directory]));
    rmdirSync(directory);
  }
}
