// Namespaces: each client's own world of names. A namespace begins with the first record written into
// it, or when it is created; it ends when it is deleted, not when it becomes empty.
import type { Labels } from '../lib/labels.ts';
import type { Transaction } from '../metadata/api.ts';

/** A slice whose records keep a namespace from being deleted, or go with it. */
export interface Occupant {
  /** What is left in the namespace, for the error message: `images`, `snapshots on "overlayfs" snapshotter`. */
  remaining(namespace: string): readonly string[];
  /** Removes records that go with the namespace. */
  clear?(transaction: Transaction, namespace: string): void;
}

export interface Namespaces {
  /** Adds a slice to ask when a namespace is deleted; before the daemon serves. */
  register(occupant: Occupant): void;
  /** The labels of a namespace; none when it does not exist. */
  labels(name: string): Labels;
  /** All namespaces, sorted. */
  list(): readonly string[];
  /** Throws `already exists`; `invalid argument`. */
  create(name: string, labels: Labels): Promise<void>;
  /** `mask`: `labels.<key>` only; empty replaces all labels. Throws `invalid argument`. */
  update(name: string, labels: Labels, mask: readonly string[]): Promise<void>;
  /** Throws `not found`; `failed precondition` when it is not empty. */
  delete(name: string): Promise<void>;
}
