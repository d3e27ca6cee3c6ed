// A btrfs of its own for tests, in a file.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const SIZE = 512 * 1024 * 1024;

export interface BtrfsDisk {
  /** Where it is mounted. */
  readonly path: string;
  mount(): void;
  /** Nothing may be mounted or open below. */
  remove(): void;
}

/** Why there can be none here. */
export function withoutBtrfs(): string | undefined {
  try {
    execFileSync('mkfs.btrfs', ['--version'], { stdio: 'ignore' });
  } catch {
    return 'mkfs.btrfs is not installed';
  }
  if (/\tbtrfs$/m.test(readFileSync('/proc/filesystems', 'utf8'))) return undefined;
  return 'this kernel has no btrfs, or its module is not loaded';
}

/** Nothing is made before mount(): a suite is read even when it is not run. */
export function createBtrfsDisk(): BtrfsDisk {
  const folder = path.join(tmpdir(), `davit-btrfs-${randomUUID().slice(0, 8)}`);
  const image = path.join(folder, 'image');
  const mountPoint = path.join(folder, 'mounted');
  return {
    path: mountPoint,
    mount() {
      mkdirSync(mountPoint, { recursive: true });
      const file = openSync(image, 'w');
      ftruncateSync(file, SIZE);
      closeSync(file);
      execFileSync('mkfs.btrfs', ['--quiet', image], { stdio: 'ignore' });
      execFileSync('mount', ['-o', 'loop', image, mountPoint]);
    },
    remove() {
      execFileSync('umount', [mountPoint]);
      rmSync(folder, { recursive: true });
    },
  };
}
