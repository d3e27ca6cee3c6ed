// What is in flight is held by a lease: the caller's, or one for as long as the work takes. One that a
// daemon left when it was killed keeps what had arrived, until the same transfer succeeds or a day is over.
import { randomUUID } from 'node:crypto';
import type { Leases, Scope } from '../leases/api.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

/** Runs `work` under a lease. `what` is the same for a transfer that is begun again. */
export type Hold = <T>(scope: Scope, what: string, work: (scope: Scope) => Promise<T>) => Promise<T>;

const DAY_MS = 24 * 3_600_000;
const NEVER = new AbortController().signal;
/** What the lease is for, and which start of the daemon made it. */
const WHAT = 'io.davit/transfer';
const MADE_BY = 'io.davit/transfer.daemon';

export function createHold({ leases, log }: { readonly leases: Leases; readonly log: Logger }): Hold {
  const self = randomUUID();

  async function end(namespace: string, id: string): Promise<void> {
    await leases.delete(namespace, id, false, NEVER).catch((error: unknown) => {
      if (!isNotFound(error)) log.warn('lease of a transfer stays until it expires', { lease: id, error });
    });
  }

  return async (scope, what, work) => {
    if (scope.lease !== undefined) return await work(scope);
    const { namespace } = scope;
    const expires = new Date(Date.now() + DAY_MS).toISOString();
    const labels = [
      ['containerd.io/gc.expire', expires],
      [WHAT, what],
      [MADE_BY, self],
    ] as const;
    const { id } = await leases.create(namespace, undefined, new Map(labels));
    try {
      const done = await work({ namespace, lease: id });
      for (const other of leases.list(namespace, []))
        if (other.labels.get(WHAT) === what && other.labels.get(MADE_BY) !== self) await end(namespace, other.id);
      return done;
    } finally {
      await end(namespace, id);
    }
  };
}
