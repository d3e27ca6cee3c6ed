/**
 * Runs `work` when there is room, in the order of asking. Rejects with the signal's reason when that
 * aborts before.
 */
export type Limit = <T>(work: () => Promise<T>, signal?: AbortSignal) => Promise<T>;

/** Lets at most `width` pieces of work run at a time. */
export function createLimit(width: number): Limit {
  let free = width;
  const waiting: (() => void)[] = [];
  const turn = (signal?: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const granted = (): void => {
        signal?.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        waiting.splice(waiting.indexOf(granted), 1);
        reject(signal?.reason as Error);
      };
      waiting.push(granted);
      signal?.addEventListener('abort', aborted, { once: true });
    });
  return async (work, signal) => {
    signal?.throwIfAborted();
    // A turn that is granted has its room already.
    if (free > 0) free--;
    else await turn(signal);
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
