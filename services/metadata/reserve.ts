// Room on the disk that is set aside: when the disk is full it is given up, so that the database can be
// opened, and records be deleted, to make room.
import { rename, stat, statfs, unlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode } from '../lib/errors.ts';

/** What LevelDB writes when it is opened (its log as a table, 4 MiB at most), and then some. */
const SIZE = 8 * 1024 * 1024;

/** Where less is free than this many times the size, others need it more. */
const SHARE = 4;

/** A disk that was full is not tried again at each write. */
const RETRY_MS = 10_000;

export interface Reserve {
  /** Gives the room up; false when it was not there. */
  release(): Promise<boolean>;
  /** Sets the room aside, if it is not and there is some; in the background. */
  restore(): void;
  /** Resolves when nothing is being written. */
  settled(): Promise<void>;
}

export function createReserve(file: string): Reserve {
  let held: boolean | undefined;
  let tried = Number.NEGATIVE_INFINITY;
  let running: Promise<void> | undefined;

  async function write(): Promise<void> {
    held ??= (await stat(file).catch(() => undefined))?.size === SIZE;
    if (held) return;
    try {
      const { bavail, bsize } = await statfs(path.dirname(file));
      if (bavail * bsize < SHARE * SIZE) return;
      await writeFile(`${file}.new`, Buffer.alloc(SIZE), { mode: 0o600 });
      await rename(`${file}.new`, file);
      held = true;
    } catch {
      // No room for it: the daemon works without, and tries again.
      await unlink(`${file}.new`).catch(() => undefined);
    }
  }

  return {
    async release() {
      await running;
      held = false;
      tried = performance.now();
      try {
        await unlink(file);
        return true;
      } catch (error) {
        if (errnoCode(error) === 'ENOENT') return false;
        throw error;
      }
    },
    restore() {
      if (held === true || running !== undefined || performance.now() - tried < RETRY_MS) return;
      tried = performance.now();
      running = write().finally(() => (running = undefined));
    },
    async settled() {
      await running;
    },
  };
}
