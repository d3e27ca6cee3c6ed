// The writer of a blob that others may be about to make, too.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Content, IngestOptions, Writer } from '../content/api.ts';
import type { Scope } from '../leases/api.ts';
import { isAlreadyExists, kindOf } from '../lib/errors.ts';

const LOCKED_MS = 100;

/**
 * Waits while somebody else writes under the same ref. Undefined when the namespace has the expected blob: the lease
 * holds it then. Rejects with the signal's reason when that aborts.
 */
export async function claim(
  content: Content,
  scope: Scope,
  options: IngestOptions,
  signal: AbortSignal,
): Promise<Writer | undefined> {
  for (;;) {
    signal.throwIfAborted();
    try {
      return await content.writer(scope, options);
    } catch (error) {
      if (isAlreadyExists(error)) return undefined;
      if (kindOf(error) !== 'unavailable') throw error;
      await sleep(LOCKED_MS);
    }
  }
}
