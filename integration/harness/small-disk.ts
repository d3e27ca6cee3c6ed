// A tmpfs of a given size, for what happens when it is full.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface SmallDisk {
  readonly mountPoint: string;
  /** Leaves room for no more than this many bytes; free() takes that back. */
  fill(left?: number): void;
  /** Takes all inodes. */
  fillInodes(): void;
  free(): void;
  /** Nothing may be mounted or open below. */
  remove(): void;
}

export function createSmallDisk(megabytes: number, inodes: number): SmallDisk {
  const mountPoint = mkdtempSync('/tmp/davit-small-');
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m,nr_inodes=${inodes},mode=755`, 'tmpfs', mountPoint]);
  const filler = path.join(mountPoint, 'filler');
  return {
    mountPoint,
    fill(left = 0) {
      const { bavail, bsize } = statfsSync(mountPoint);
      writeFileSync(filler, Buffer.alloc(Math.max(0, bavail * bsize - left)));
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
