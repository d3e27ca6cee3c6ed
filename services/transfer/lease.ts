// What is in flight is held by a lease: the caller's, or one for as long as the work takes.
import type { Leases, Scope } from '../leases/api.ts';
import { isNotFound } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

const DAY_MS = 24 * 3_600_000;
const NEVER = new AbortController().signal;

export async function withLease<T>(
  leases: Leases,
  log: Logger,
  scope: Scope,
  work: (scope: Scope) => Promise<T>,
): Promise<T> {
  if (scope.lease !== undefined) return await work(scope);
  const { namespace } = scope;
  // Should the daemon die, it ends by itself.
  const expires = new Date(Date.now() + DAY_MS).toISOString();
  const { id } = await leases.create(namespace, undefined, new Map([['containerd.io/gc.expire', expires]]));
  try {
    return await work({ namespace, lease: id });
  } finally {
    await leases.delete(namespace, id, false, NEVER).catch((error: unknown) => {
      if (!isNotFound(error)) log.warn('lease of a transfer stays until it expires', { lease: id, error });
    });
  }
}
