// Leases: what is written under one is safe from garbage collection until the lease ends.
import { randomUUID } from 'node:crypto';
import type { Client } from './connect.ts';
import { isNotFound } from './errors.ts';

const EXPIRE_LABEL = 'containerd.io/gc.expire';
const DAY = 24 * 3600 * 1000;

/**
 * Runs `work` with a client whose calls carry a new lease, and deletes the lease afterwards.
 * Should this process die, the lease ends after `lifetime` milliseconds (default one day).
 */
export async function withLease<T>(client: Client, work: (client: Client) => Promise<T>, lifetime = DAY): Promise<T> {
  const id = `${Date.now()}-${randomUUID().slice(0, 8)}`;
  const expires = new Date(Date.now() + lifetime).toISOString();
  await client.leases.Create({ id, labels: { [EXPIRE_LABEL]: expires } });
  try {
    return await work(client.with({ lease: id }));
  } finally {
    // Also when the work was aborted.
    await client.leases.Delete({ id }, { signal: undefined, timeout: 10_000 }).catch((error: unknown) => {
      if (!isNotFound(error)) process.emitWarning(`lease "${id}" stays until ${expires}: ${String(error)}`);
    });
  }
}
