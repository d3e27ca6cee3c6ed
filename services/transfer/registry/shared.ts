// Work that several callers want at the same moment: done once, for as long as one of them waits for it.
import { orAborted } from '../../lib/aborted.ts';

export interface Shared<T> {
  /**
   * Resolves or rejects as `work` does, which is begun unless it is under way for that key. Rejects with the
   * reason of `signal` when that aborts first; the signal of `work` aborts when all who waited have gone so.
   */
  get(key: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

interface Running<T> {
  readonly result: Promise<T>;
  readonly end: AbortController;
  waiting: number;
}

export function createShared<T>(): Shared<T> {
  const running = new Map<string, Running<T>>();

  function begin(key: string, work: (signal: AbortSignal) => Promise<T>): Running<T> {
    const end = new AbortController();
    const begun: Running<T> = { result: work(end.signal), end, waiting: 0 };
    running.set(key, begun);
    const over = (): void => forget(key, begun);
    begun.result.then(over, over);
    return begun;
  }

  function forget(key: string, job: Running<T>): void {
    if (running.get(key) === job) running.delete(key);
  }

  return {
    async get(key, signal, work) {
      signal.throwIfAborted();
      const job = running.get(key) ?? begin(key, work);
      job.waiting++;
      try {
        return await orAborted(job.result, signal);
      } finally {
        if (--job.waiting === 0) {
          // Who comes later is not to get what is about to fail.
          forget(key, job);
          job.end.abort(signal.reason);
        }
      }
    },
  };
}
