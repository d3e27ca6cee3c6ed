// Snapshots: file trees made of layers, each the changes on top of its parent.
//
//              prepare                commit
//   parent --------------> active ---------------> committed ----> parent of others
//      \        view
//       `----------------> view
//
//   key        names an active snapshot or a view, while somebody works with it
//   name       names a committed snapshot; keys and names share one space, per namespace and snapshotter
//   active     may be written through its mounts
//   view       may be read through its mounts; is never committed
//   committed  never changes again, has no mounts of its own, may be a parent
//
// Everything is removed in the end: children before their parents.
import type { Scope } from '../leases/api.ts';
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';
import type { Mount } from '../lib/mount.ts';

export type Kind = 'view' | 'active' | 'committed';

export interface Info {
  /** The key of an active snapshot or a view, the name of a committed one. */
  readonly name: string;
  /** Name of the parent; '' when there is none. */
  readonly parent: string;
  readonly kind: Kind;
  readonly created: Instant;
  readonly updated: Instant;
  readonly labels: Labels;
}

/** What a snapshot itself takes, without its parents. */
export interface Usage {
  readonly size: number;
  readonly inodes: number;
}

/** One snapshotter: its driver's trees under the names that clients gave them. */
export interface Snapshotter {
  readonly name: string;
  readonly capabilities: readonly string[];
  /**
   * Makes an active snapshot on top of a committed one, or of nothing ('').
   * Throws `already exists` for a key in use, and when the label `containerd.io/snapshot.ref` names a
   * snapshot that exists (the lease then holds that one); `not found` for an unknown parent or lease;
   * `invalid argument` for a parent that is not committed, or labels that cannot be honoured.
   */
  prepare(scope: Scope, key: string, parent: string, labels: Labels): Promise<readonly Mount[]>;
  /** As prepare(), read-only. */
  view(scope: Scope, key: string, parent: string, labels: Labels): Promise<readonly Mount[]>;
  /** Throws `not found`; `failed precondition` for a committed snapshot. */
  mounts(namespace: string, key: string): Promise<readonly Mount[]>;
  /**
   * Turns the active snapshot `key` into the committed `name`; the key is gone, labels are replaced.
   * `parent` puts a snapshot that has none on top of another ('' leaves it as it is).
   * Throws `not found`; `already exists` for a name in use; `failed precondition` for what is not
   * active and for a new parent that is not committed. On failure the active snapshot stays.
   */
  commit(scope: Scope, name: string, key: string, parent: string, labels: Labels): Promise<void>;
  /**
   * Removes the record; what it took on disk follows in the background, cleanup() waits for it.
   * Throws `not found`; `failed precondition` for a snapshot with children.
   */
  remove(scope: Scope, key: string): Promise<void>;
  /** Throws `not found`. */
  stat(namespace: string, key: string): Info;
  /**
   * Changes labels: all of them, or with `mask` what `labels` and `labels.<key>` say.
   * Throws `not found`; `invalid argument` for any other path.
   */
  update(namespace: string, key: string, labels: Labels, mask: readonly string[]): Promise<Info>;
  /** All that match one of the filters, in order of their names. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Info[];
  /**
   * Of a committed snapshot as it was at its commit; of an active one as measured now, or, when it is large, some
   * time ago (measure.ts). Throws `not found`.
   */
  usage(namespace: string, key: string): Promise<Usage>;
  /** Resolves when nothing is left on disk of what was removed or never finished. */
  cleanup(): Promise<void>;
  /** For the daemon's own unpacking; undefined: it prepares, applies and commits as any client. */
  readonly chains?: Chains;
}

/** `settle`, to be called in any case, resolves when a power cut leaves all of it. Many at once cost hardly more than one. */
export interface Settling {
  settle(): Promise<void>;
}

/**
 * Layers unpacked by the daemon, into snapshots that are named after the chain of layers up to theirs. All that are
 * verified, from the lowest on, may be referred to by several namespaces.
 */
export interface Chains {
  /** A layer may be unpacked before those below it are there. */
  readonly rebase: boolean;
  /** Namespaces share what was unpacked. */
  readonly shared: boolean;
  /** Whether it is worth trying claim(). */
  has(namespace: string, name: string): boolean;
  /**
   * The snapshot `name` is in the scope's namespace, held by its lease: it was there, or is made of the tree that
   * another namespace has under that name on the same parent. Undefined: it has to be unpacked.
   * Throws `not found` for a parent that the namespace does not have.
   */
  claim(scope: Scope, name: string, parent: string, labels: Labels): Promise<Settling | undefined>;
  /**
   * A new empty tree, to become the committed snapshot `name`, on top of `parent`; of nothing (''), when that is not
   * there yet. Its owner ends it. May throw `already exists`.
   */
  begin(scope: Scope, name: string, parent: string, labels: Labels): Promise<Building>;
}

/** A tree in the making, that nobody else sees. */
export interface Building {
  /** How to write to it, shown on top of `parent`. */
  mounts(parent: string): readonly Mount[];
  /**
   * Commits it, whose content the caller has verified, on top of `parent`. Resolves when others can be made on it.
   * `usage` is what the tree takes, where the caller, who alone has written to it, knows that.
   * Throws as Snapshotter.commit(); the tree is then to be discarded.
   */
  commit(parent: string, usage?: Usage): Promise<Settling>;
  discard(): Promise<void>;
}

export interface Snapshots {
  /** Throws `invalid argument` for a snapshotter that is not loaded. */
  get(name: string): Snapshotter;
  readonly names: readonly string[];
}

/** A snapshot as its driver sees it. */
export interface Tree {
  /** Unique in the driver for as long as anything of it is on disk; safe as a file name. */
  readonly id: string;
  readonly kind: Kind;
  /** Ids of what it is made of, its parent first, the lowest layer last. */
  readonly parents: readonly string[];
  /** The labels that are meant for drivers: `containerd.io/snapshot/...` and `containerd.io/snapshot.ref`. */
  readonly labels: Labels;
}

/**
 * What differs between snapshotters: the trees themselves. A driver keeps no records; a tree that the
 * metadata does not know is garbage. A tree may be removed while it is measured.
 */
export interface Driver {
  readonly name: string;
  /** The folder of its trees. */
  readonly root: string;
  /** Words of containerd's API that clients look for: `rebase`, `remap-ids`. */
  readonly capabilities: readonly string[];
  /** Makes an active snapshot or a view; called before its record is written. On failure nothing remains that sweep() misses. */
  create(tree: Tree): Promise<void>;
  /** How to mount an active snapshot or a view; costs no I/O. */
  mounts(tree: Tree): readonly Mount[];
  /** Makes what mounts() tells work, after create() or a start; called before it is told. */
  ready?(tree: Tree): Promise<void>;
  /** Measures a tree without its parents. */
  usage(tree: Tree): Promise<Usage>;
  /** What usage() measures of a tree is the folder that its mounts write to. */
  readonly measuresFolder?: boolean;
  /** Makes an active snapshot fit to be a parent; called before its record changes, and may be called again after a crash. */
  commit(tree: Tree): Promise<void>;
  /** Drops what only the active snapshot needed; called, perhaps again, after the committed record is durable. */
  committed?(id: string): Promise<void>;
  /** Removes a tree, whole, half made or absent; called after its record is gone. */
  remove(id: string): Promise<void>;
  /** Resolves when all that was written to trees before is on disk. */
  sync(): Promise<void>;
  /** Ids of all trees on disk, half made and half removed ones too. */
  trees(): Promise<readonly string[]>;
  /** Labels that the driver adds to what clients see. */
  describe(id: string): Labels;
  /**
   * At a start, with all trees that have a record: makes those ready that clients work with, and drops what an end in
   * the middle left. Runs beside calls.
   */
  recover?(known: readonly Tree[]): Promise<void>;
  /** Undoes what need not outlive the daemon. Nothing that is mounted by others is disturbed. */
  close?(): Promise<void>;
  /** Given: the trees are another program's, which has to be asked, and may be away. */
  readonly foreign?: ForeignDriver;
}

/** What a driver does otherwise when its trees are another program's. */
export interface ForeignDriver {
  /** An id that no tree has ever had: which there are cannot be asked at any time. */
  newId(): string;
  /** In place of Driver.create(). Resolves with the committed tree that the target label names, when the other has it. */
  create(tree: Tree): Promise<{ readonly id: string; readonly labels: Labels } | undefined>;
  /** In place of Driver.mounts(). */
  mounts(tree: Tree): Promise<readonly Mount[]>;
  /** To be called when trees were removed. */
  tidy(): Promise<void>;
}
