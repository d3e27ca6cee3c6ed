// Diffs: layers, as archives of changes between file trees. Apply turns a layer into files, compare
// turns files into a layer.
import type { Scope } from '../leases/api.ts';
import type { Labels } from '../lib/labels.ts';
import type { Mount } from '../lib/mount.ts';
import type { Instant } from '../lib/time.ts';
import type { Usage } from '../snapshots/api.ts';

/** What describes a blob. */
export interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface ApplyOptions {
  /** Resolve when the files are on disk, not only written. */
  readonly sync: boolean;
}

export interface CompareOptions {
  /** '' for a gzip-compressed OCI layer. */
  readonly mediaType: string;
  /** The ingest's ref, begun anew; '' for one of its own. */
  readonly ref: string;
  /** Of the new blob. */
  readonly labels: Labels;
  /** No time in the archive is later, and times that exist in no file are this. */
  readonly sourceDateEpoch: Instant | undefined;
}

/** A layer that was applied, uncompressed. */
export interface AppliedLayer extends Layer {
  /** What the tree takes now; undefined when only reading it tells. */
  readonly usage: Usage | undefined;
}

/** A layer applied to a tree that is to be put on top of others. */
export interface LooseLayer extends AppliedLayer {
  /**
   * Makes the tree what it would be had the layer been applied to `mounts`, which show it on top of them. False:
   * it cannot be, the layer has to be applied to another tree there.
   */
  settle(mounts: readonly Mount[], signal: AbortSignal): Promise<boolean>;
}

/** Told of every layer that is applied, to the end, with its uncompressed size. */
export interface LayerObserver {
  applied(bytes: number): void;
}

export interface Diffs {
  /**
   * Applies a layer from the content store to the tree that `mounts` give; returns the uncompressed
   * layer as it was read. Its content is not trusted: nothing outside the tree is touched.
   * Throws `not found` for the blob; `not implemented` for media types that are no layer's;
   * `failed precondition` for a blob of another size; `invalid argument` for a broken archive.
   * What was applied before a failure stays, the tree is to be thrown away.
   */
  apply(
    namespace: string,
    layer: Layer,
    mounts: readonly Mount[],
    options: ApplyOptions,
    signal: AbortSignal,
  ): Promise<AppliedLayer>;
  /**
   * As apply(), to a tree of a snapshotter with `rebase` that is on nothing yet. Undefined: it takes what is to be
   * below (a hard link to a file there), or is no layer, which apply() will tell.
   */
  applyLoose(
    namespace: string,
    layer: Layer,
    mounts: readonly Mount[],
    signal: AbortSignal,
  ): Promise<LooseLayer | undefined>;
  /**
   * Writes what `right` has changed since `left` into the content store, held by the scope's lease.
   * Throws `not implemented` for media types that it cannot write; `unavailable` for a ref in use.
   */
  compare(
    scope: Scope,
    left: readonly Mount[],
    right: readonly Mount[],
    options: CompareOptions,
    signal: AbortSignal,
  ): Promise<Layer>;
}
