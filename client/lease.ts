// Leases: what is written under one is safe from garbage collection until the lease ends.
import { randomUUID } from 'node:crypto';
import type { Client } from './connect.ts';
import { isNotFound } from './errors.ts';

const EXPIRE_LABEL = 'containerd.io/gc.expire';
const DAY = 24 * 3600 * 1000;
const RELEASE_MS = 10_000;

export interface Lease {
  readonly id: string;
  /** Ends it. Never rejects: a lease that stays ends by itself. */
  release(): Promise<void>;
}

/** A new lease. Should this process die, it ends after `lifetime` milliseconds. */
export async function createLease(client: Client, lifetime = DAY): Promise<Lease> {
  const id = `${Date.now()}-${randomUUID().slice(0, 8)}`;
  const expires = new Date(Date.now() + lifetime).toISOString();
  await client.leases.Create({ id, labels: { [EXPIRE_LABEL]: expires } });
  return {
    id,
    async release() {
      try {
        // Also when the client's signal is aborted.
        await client.leases.Delete({ id }, { signal: undefined, timeout: RELEASE_MS });
      } catch (error) {
        if (!isNotFound(error)) process.emitWarning(`lease "${id}" stays until ${expires}: ${String(error)}`);
      }
    },
  };
}

/** Runs `work` with a client whose calls carry a new lease, and ends the lease afterwards. */
export async function withLease<T>(client: Client, work: (client: Client) => Promise<T>, lifetime = DAY): Promise<T> {
  const lease = await createLease(client, lifetime);
  try {
    return await work(client.with({ lease: lease.id }));
  } finally {
    await lease.release();
  }
}
