// Content: blobs that never change, found by their digest.
//
//   open writer(ref) -> write... -> commit -> blob
//        ^   |                  \-> close: the ingest stays and can be resumed
//        |   v
//        ingest -> abort: gone
//
//   blob     bytes under a digest; a namespace sees those it has a record of, bytes are kept once
//   ingest   a blob in the making, under a ref that is unique in its namespace; it has at most one
//            writer at a time, outlives the writer and the daemon, and expires after 24 hours unless
//            a lease holds it
//
// Deleting a blob removes the namespace's record; the bytes go when garbage collection finds that no
// namespace has one.
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';
import type { Scope } from '../leases/api.ts';

export interface Info {
  readonly digest: string;
  readonly size: number;
  readonly created: Instant;
  readonly updated: Instant;
  readonly labels: Labels;
}

export interface IngestStatus {
  readonly ref: string;
  /** Bytes written so far. */
  readonly offset: number;
  /** Expected size, 0 when unknown. */
  readonly total: number;
  readonly expected: string;
  readonly started: Instant;
  readonly updated: Instant;
}

/** An open blob; its owner closes it. */
export interface Blob extends AsyncDisposable {
  readonly size: number;
  /** Up to `length` bytes from `position`; fewer only at the end. */
  read(position: number, length: number): Promise<Buffer>;
  close(): Promise<void>;
}

export interface ContentReader {
  has(namespace: string, digest: string): boolean;
  /** Throws `not found`. */
  info(namespace: string, digest: string): Info;
  /** All that match one of the filters, in order of digests. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Info[];
  /** Throws `not found`. */
  open(namespace: string, digest: string): Promise<Blob>;
  /** The read-only file of a blob, for code that reads it natively. Throws `not found`. */
  path(namespace: string, digest: string): string;
}

export interface IngestOptions {
  readonly ref: string;
  /** The digest that is expected, if known: its bytes are then not asked for again when they are here. */
  readonly expected?: string | undefined;
  /** The size that is expected; 0 or undefined when unknown. */
  readonly total?: number | undefined;
  /** Whoever waits for new blobs is not told of this one: it is taken care of. */
  readonly quiet?: boolean;
}

export interface CommitOptions {
  /** Checked when given and not 0. */
  readonly size?: number | undefined;
  /** Checked when given and not ''. */
  readonly expected?: string | undefined;
  readonly labels?: Labels | undefined;
}

/** The one writer of an ingest. Calls must not overlap. */
export interface Writer extends AsyncDisposable {
  readonly status: IngestStatus;
  /** Digest of what was written so far. */
  digest(): string;
  /** Appends the pieces in order. Resolves when the kernel has the bytes, not when they are on disk. */
  write(...pieces: readonly Uint8Array[]): Promise<void>;
  /** Begins again at offset 0. */
  truncate(): Promise<void>;
  /**
   * The ingest's file, for native code that appends to it; appended() then says what it did: the
   * size and the sha256 digest of the whole file.
   */
  readonly file: string;
  appended(size: number, digest: string): void;
  /**
   * Makes the blob, on disk and held by the scope's lease, and closes the writer.
   * Throws `already exists` when the namespace has it (the lease holds that one, the ingest is gone);
   * `failed precondition` for another size or digest than expected (the ingest stays).
   */
  commit(options: CommitOptions): Promise<Info>;
  /** Releases the ref; the ingest stays unless it was committed. May be called again. */
  close(): Promise<void>;
}

export interface Content extends ContentReader {
  /**
   * Begins or resumes the ingest.
   * Throws `unavailable` when it has a writer; `already exists` when the namespace has the expected
   * blob (the scope's lease then holds it); `not found` for an unknown lease.
   */
  writer(scope: Scope, options: IngestOptions): Promise<Writer>;
  /**
   * Changes labels: all of them, or with `mask` what `labels` and `labels.<key>` say.
   * Throws `not found`; `invalid argument` for any other path.
   */
  update(namespace: string, digest: string, labels: Labels, mask: readonly string[]): Promise<Info>;
  /** Throws `not found`. */
  delete(scope: Scope, digest: string): Promise<void>;
  /** Throws `not found`. */
  status(namespace: string, ref: string): Promise<IngestStatus>;
  statuses(namespace: string, filters: readonly string[]): Promise<readonly IngestStatus[]>;
  /** Throws `not found`. A writer of the ingest fails from then on. */
  abort(scope: Scope, ref: string): Promise<void>;
}
