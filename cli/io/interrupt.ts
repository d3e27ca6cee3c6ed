// ^C for commands that have something to put right before they end.
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Runs `work` with a signal that SIGINT, SIGTERM and SIGHUP abort. When one came and `work` has ended, so does
 * the program, with the signal's usual status. A second one ends it at once.
 */
export async function untilInterrupted<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  let received: (typeof SIGNALS)[number] | undefined;
  const listeners = SIGNALS.map((name) => {
    const listener = (): void => {
      received = name;
      controller.abort(new Error(`interrupted by ${name}`));
    };
    process.once(name, listener);
    return () => process.off(name, listener);
  });
  try {
    return await work(controller.signal);
  } finally {
    for (const stop of listeners) stop();
    if (received !== undefined) process.exit(128 + constants.signals[received]);
  }
}
