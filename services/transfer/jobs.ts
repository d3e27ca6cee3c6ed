// One job at a time per key, however many want its result: the first one does the work, the others
// wait. When the one who works gives up, the next one begins.
import { orAborted } from '../lib/aborted.ts';

export interface Jobs {
  /**
   * Runs `work`, or waits for who does already. Resolves with whether it was ours. A failure of
   * another's job is not ours: we try ourselves.
   */
  run(key: string, signal: AbortSignal, work: () => Promise<void>): Promise<boolean>;
}

export function createJobs(): Jobs {
  const running = new Map<string, Promise<boolean>>();
  return {
    async run(key, signal, work) {
      for (;;) {
        signal.throwIfAborted();
        const other = running.get(key);
        if (other === undefined) break;
        if (await orAborted(other, signal)) return false;
      }
      const job = work();
      const outcome = job.then(
        () => true,
        () => false,
      );
      running.set(key, outcome);
      try {
        await job;
        return true;
      } finally {
        running.delete(key);
      }
    },
  };
}
