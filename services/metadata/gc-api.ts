// Garbage collection: what nothing needs is removed.
//
// Words:
//   node        a resource: (type, namespace, key). Types are `content`, `ingests`, `images`,
//               `containers`, `leases`, `sandboxes` and `snapshots`, whose keys are `<snapshotter>/<key>`.
//   root        a node that is needed by itself
//   reference   an edge: what it points to is needed while its origin is
//   flat        a flat reference holds the node (and a snapshot's parents) but not what its labels name
//   mark        the synchronous part of a run: every record that no root leads to is removed, in one
//               transaction, so that nothing can change meanwhile
//   sweep       the part after it: files that no record names any more are removed
//
// Labels `containerd.io/gc.*` are understood here, for every type; a slice contributes the rest.
import type { Labels } from '../lib/labels.ts';
import type { Transaction } from './api.ts';

/** Marks one more node as needed. */
export type Emit = (type: string, key: string, flat: boolean) => void;

/** What a slice contributes: the nodes of one type. All but sweep() is synchronous and without I/O. */
export interface Collectable {
  readonly type: string;
  /** Namespaces with such nodes. */
  namespaces(): Iterable<string>;
  /** Visits every node of a namespace, in any order. */
  each(namespace: string, visit: (key: string, labels: Labels) => void): void;
  /** The labels of a node; undefined when there is no such node. */
  labels(namespace: string, key: string): Labels | undefined;
  /**
   * Until when the node is a root, in milliseconds since 1970, the label `gc.root` set aside:
   * Infinity for good, 0 when it is none.
   */
  rootUntil(namespace: string, key: string): number;
  /** Whether a label `containerd.io/gc.root` makes such a node a root. */
  readonly rootLabel: boolean;
  /** Emits what the node refers to, its labels set aside. `flat` as the node itself was reached. */
  references(namespace: string, key: string, flat: boolean, emit: Emit): void;
  /** Removes the record of a node that nothing needs. Left out: such nodes are never collected. */
  remove?(transaction: Transaction, namespace: string, key: string): void;
  /** Called for each removed node when its removal is durable: publishes the event, if there is one. */
  removed?(namespace: string, key: string): void;
  /** Removes the files that no record names. Called when records were removed and their removal is durable. */
  sweep?(): Promise<void>;
}

/** Told of every run: whether it succeeded, and how long its mark stopped everything else, in milliseconds. */
export interface GcObserver {
  collected(status: 'success' | 'fail', pause: number): void;
}

export interface GarbageCollector {
  /** Adds a type of nodes; once per type, before the daemon serves. */
  register(collectable: Collectable): void;
  /**
   * To be called in the transaction or after it when a record was deleted: what it referred to may be
   * garbage now. `type` when the deleted record itself leaves files to sweep.
   */
  deleted(type?: string): void;
  /** A record expires at `time`, in milliseconds since 1970: a run comes then. Infinity for one that never does. */
  expiring(time: number): void;
  /** Records of this type were removed and left files; the next run, whenever it comes, sweeps them. */
  unswept(type: string): void;
  /**
   * Schedules a run and resolves when it and its sweeps are done (`sync` deletes).
   * Rejects when the run failed, or with the signal's reason when that aborts first.
   */
  collect(signal?: AbortSignal): Promise<void>;
}
