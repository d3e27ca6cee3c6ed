// So many at a time, in the order of asking.

export interface Limit {
  /** Runs `work` when there is room. Rejects with the signal's reason when that aborts before. */
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createLimit(size: number): Limit {
  let free = size;
  const waiting: (() => void)[] = [];
  const turn = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const granted = (): void => {
        signal.removeEventListener('abort', aborted);
        resolve();
      };
      const aborted = (): void => {
        waiting.splice(waiting.indexOf(granted), 1);
        reject(signal.reason as Error);
      };
      waiting.push(granted);
      signal.addEventListener('abort', aborted, { once: true });
    });
  return {
    async run(signal, work) {
      signal.throwIfAborted();
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
    },
  };
}
