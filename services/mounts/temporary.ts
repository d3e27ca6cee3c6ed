// Temporary mounts: each on a folder of its own below one that only the daemon may enter.
//
// A mount that a killed daemon left is undone by recover(); folders are removed with rmdir, never
// recursively, so that a mount that would not go away loses no files.
import { mkdir, mkdtemp, readdir, rm, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import type { Logger } from '../lib/log.ts';
import type { Mount } from '../lib/mount.ts';
import type { Recovery } from '../lib/recovery.ts';
import type { TemporaryMounts } from './api.ts';

/** Mounting itself. */
export interface MountCalls {
  /** Performs all in order on `target`; undoes them when one fails. */
  mount(mounts: readonly Mount[], target: string): Promise<void>;
  /** Undoes everything that is mounted on `target`, however many. */
  unmount(target: string): Promise<void>;
}

export interface TemporaryMountsDeps {
  /** Absolute; made when it is absent. */
  readonly folder: string;
  readonly calls: MountCalls;
  readonly log: Logger;
  readonly recovery: Recovery;
}

export interface DaemonMounts extends TemporaryMounts {
  /** Before any use: undoes what a daemon before this one left. */
  recover(): Promise<void>;
}

export function createTemporaryMounts({ folder, calls, log, recovery }: TemporaryMountsDeps): DaemonMounts {
  async function release(root: string, mounted: boolean): Promise<void> {
    if (mounted) {
      await calls.unmount(root);
      await rmdir(root);
    } else {
      await rm(root, { recursive: true });
    }
  }

  return {
    async withMounted(mounts, work) {
      const root = await mkdtemp(path.join(folder, 'mount-'));
      const mounted = mounts.length > 0;
      let result;
      try {
        if (mounted) await calls.mount(mounts, root);
        await fault('mounts.temporary.after-mount');
        result = await work(root);
      } catch (error) {
        await release(root, mounted).catch((second: unknown) => {
          log.warn('temporary mount not undone', { root, error: second });
        });
        throw error;
      }
      await release(root, mounted);
      return result;
    },

    async recover() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const name of await readdir(folder)) {
        const root = path.join(folder, name);
        const found = { what: 'mount', namespace: '', id: root };
        try {
          await calls.unmount(root);
          await rmdir(root).catch((error: unknown) => {
            // Files there were written to an unmounted folder, by a call without mounts.
            if (errnoCode(error) === 'ENOTEMPTY') return rm(root, { recursive: true });
            throw error;
          });
          recovery.add({ ...found, outcome: 'removed', detail: 'a layer was being applied or computed' });
        } catch (error) {
          recovery.add({ ...found, outcome: 'stuck', detail: error instanceof Error ? error.message : String(error) });
        }
      }
    },
  };
}
