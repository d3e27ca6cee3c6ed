// A tmpfs of a given size, for what happens when it is full.
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface SmallDisk {
  readonly mountPoint: string;
  mount(): void;
  /** Leaves room for no more than this many bytes; free() takes that back. */
  fill(left?: number): void;
  /** Takes all inodes. */
  fillInodes(): void;
  free(): void;
  /** Nothing may be mounted or open below. */
  remove(): void;
}

/** Nothing is made before mount(): a suite is read even when it is not run. */
export function createSmallDisk(megabytes: number, inodes: number): SmallDisk {
  const mountPoint = `/tmp/davit-small-${randomUUID().slice(0, 8)}`;
  const filler = path.join(mountPoint, 'filler');
  return {
    mountPoint,
    mount() {
      mkdirSync(mountPoint);
      const options = `size=${megabytes}m,nr_inodes=${inodes},mode=755`;
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', mountPoint]);
    },
    fill(left = 0) {
      for (let tries = 3; ; tries -= 1) {
        const { bavail, bsize } = statfsSync(mountPoint);
        try {
          return writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - left)));
        } catch (error) {
          // The daemon took more than `left` meanwhile.
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC' || tries === 0) throw error;
          rmSync(filler);
        }
      }
    },
    fillInodes() {
      execFileSync('mkdir', ['-p', `${filler}s`]);
      for (let count = statfsSync(mountPoint).ffree; count > 0; count -= 1)
        writeFileSync(path.join(`${filler}s`, String(count)), '');
    },
    free() {
      rmSync(filler, { force: true });
      rmSync(`${filler}s`, { recursive: true, force: true });
    },
    remove() {
      execFileSync('umount', [mountPoint]);
      rmdirSync(mountPoint);
    },
  };
}
