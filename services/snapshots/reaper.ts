// Removes trees in the background, one at a time: removal competes with running containers for the
// disk, and nobody waits for it but cleanup().
import { fault } from '../lib/fault.ts';
import type { Logger } from '../lib/log.ts';
import type { Driver } from './api.ts';

export interface Reaper {
  /** Removes a tree some time soon. A failure is logged; the next sweep tries again. */
  add(id: string): void;
  has(id: string): boolean;
  /** Resolves when nothing that was added before waits any more, with the first failure since the last call. */
  drained(): Promise<Error | undefined>;
}

export function createReaper(driver: Driver, log: Logger): Reaper {
  const waiting = new Set<string>();
  let running: Promise<void> | undefined;
  let failure: Error | undefined;

  async function run(): Promise<void> {
    for (const id of waiting) {
      try {
        await fault('snapshots.remove.before-files');
        await driver.remove(id);
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
        log.warn('snapshot tree not removed, will be tried again', { snapshotter: driver.name, id, error });
      }
      waiting.delete(id);
    }
    running = undefined;
  }

  return {
    add(id) {
      waiting.add(id);
      running ??= run();
    },
    has: (id) => waiting.has(id),
    async drained() {
      await running;
      const first = failure;
      failure = undefined;
      return first;
    },
  };
}
