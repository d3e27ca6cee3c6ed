// Trying again what failed for reasons that pass: cut connections, 408, 429, 5xx.
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from '../../lib/errors.ts';
import { Refusal } from './errors.ts';

const TRIES = 5;
const FIRST_MS = 200;
const LONGEST_MS = 10_000;

export interface Retries {
  /** Waits before another try; throws `error` itself when there is to be none. */
  next(error: unknown, signal: AbortSignal): Promise<void>;
  /** There was progress: failures before do not count any more. */
  reset(): void;
  run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>;
}

export function createRetries(tries = TRIES, firstMs = FIRST_MS): Retries {
  let failures = 0;
  const retries: Retries = {
    async next(error, signal) {
      if (signal.aborted || !passes(error) || ++failures > tries) throw error;
      const backoff = Math.min(firstMs * 2 ** (failures - 1), LONGEST_MS) * (0.5 + Math.random());
      const asked = error instanceof Refusal ? error.retryAfter : undefined;
      try {
        await sleep(asked ?? backoff, undefined, { signal });
      } catch {
        throw signal.reason;
      }
    },
    reset() {
      failures = 0;
    },
    async run(signal, work) {
      for (;;) {
        try {
          return await work();
        } catch (error) {
          await retries.next(error, signal);
        }
      }
    },
  };
  return retries;
}

/** Codes of Node for what will be the same next time. */
const LASTING = /^(CERT_|ERR_TLS|ERR_SSL|UNABLE_TO|SELF_SIGNED|DEPTH_ZERO|EPROTO|ENOTFOUND|ECONNREFUSED)/;

function passes(error: unknown): boolean {
  if (!(error instanceof Failure) || error.kind !== 'unavailable') return false;
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && LASTING.test(String(cause.code))) return false;
  }
  return true;
}
