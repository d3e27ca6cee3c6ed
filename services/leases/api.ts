// Leases: hold resources that nothing refers to yet, so that garbage collection leaves them alone.
// A lease lives until it is deleted or its label `containerd.io/gc.expire` says it is over.
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';
import type { Transaction } from '../metadata/api.ts';

export interface Lease {
  readonly id: string;
  readonly created: Instant;
  readonly labels: Labels;
}

/** What a lease holds. Types: `content`, `ingests`, `images`, `snapshots/<snapshotter>`. */
export interface Resource {
  readonly type: string;
  readonly id: string;
}

/** On whose behalf a call works. */
export interface Scope {
  readonly namespace: string;
  /** The lease of the call; undefined when it has none. */
  readonly lease: string | undefined;
}

/** For slices that create what a lease can hold; to be called in the transaction that creates it. */
export interface LeaseHolder {
  /**
   * The scope's lease holds the resource from now on; returns false when the scope has none.
   * Throws `not found` for an unknown lease, which undoes the transaction.
   */
  hold(transaction: Transaction, scope: Scope, resource: Resource): boolean;
  /** The scope's lease, when it has one, no longer holds the resource. */
  release(transaction: Transaction, scope: Scope, resource: Resource): void;
}

export interface Leases extends LeaseHolder {
  /** `id` undefined for a random one. Throws `already exists`. */
  create(namespace: string, id: string | undefined, labels: Labels): Promise<Lease>;
  /** Throws `not found`. `sync`: resolves when what nothing needs any more is gone. */
  delete(namespace: string, id: string, sync: boolean, signal: AbortSignal): Promise<void>;
  /** Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Lease[];
  /** Throws `not found` for the lease; `invalid argument` or `not implemented` for the resource. */
  addResource(namespace: string, id: string, resource: Resource): Promise<void>;
  /** As addResource(). Nothing happens when the lease does not hold it. */
  deleteResource(namespace: string, id: string, resource: Resource): Promise<void>;
  /** Throws `not found`. */
  resources(namespace: string, id: string): readonly Resource[];
}
