// The writer of an ingest. It has a file of its own, or shares the whole blob of another namespace
// until somebody writes to it.
import { copyFile } from 'node:fs/promises';
import { algorithmOf } from '../lib/digest.ts';
import { Failure, failedPrecondition } from '../lib/errors.ts';
import { NO_LABELS, validateLabels } from '../lib/labels.ts';
import { now, type Instant } from '../lib/time.ts';
import type { CommitOptions, Info, IngestStatus, Writer } from './api.ts';
import { IngestFile } from './ingest-file.ts';
import type { Ingest } from './records.ts';

/** What others do for a writer. */
export interface WriterHost {
  /** Makes the blob of a file that is complete or, without a file, of bytes that are there already. */
  finish(digest: string, size: number, file: IngestFile | undefined, options: CommitOptions): Promise<Info>;
  /** Records that the ingest no longer shares the blob. */
  unshare(): Promise<void>;
  blobFile(digest: string): string;
  /** The writer is closed: somebody else may have the ref. */
  release(): void;
}

export interface WriterOptions {
  readonly namespace: string;
  readonly ref: string;
  readonly ingest: Ingest;
  readonly expected: string;
  /** Where the file is, or will be. */
  readonly path: string;
  /** Resolves when the record of the ingest is on disk. */
  readonly durable: Promise<unknown>;
  /** The size of the expected blob when its bytes are shared. */
  readonly sharedSize: number | undefined;
}

export class IngestWriter implements Writer {
  readonly since = new Date();
  readonly #host: WriterHost;
  readonly #options: WriterOptions;
  readonly #opened: Instant = now();
  #file: IngestFile | undefined;
  #aborted = false;
  /** Why the record of the ingest could not be written. */
  #refused: unknown;
  #closed = false;

  /** open() is to be called next. */
  constructor(host: WriterHost, options: WriterOptions) {
    this.#host = host;
    this.#options = options;
    options.durable.catch((error: unknown) => (this.#refused = error));
  }

  /** Reads what an earlier writer left. On failure the writer is closed. */
  async open(): Promise<void> {
    if (this.#options.sharedSize !== undefined) return;
    try {
      this.#file = await this.#openFile();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  get namespace(): string {
    return this.#options.namespace;
  }

  get ref(): string {
    return this.#options.ref;
  }

  get ingest(): Ingest {
    return this.#options.ingest;
  }

  get file(): string {
    return this.#options.path;
  }

  get status(): IngestStatus {
    const { ref, ingest, expected, sharedSize } = this.#options;
    return {
      ref,
      offset: this.#size,
      total: this.#file === undefined ? (sharedSize ?? 0) : ingest.total,
      expected,
      started: ingest.started,
      updated: this.#file?.updated ?? this.#opened,
    };
  }

  digest(): string {
    return this.#file?.digest() ?? this.#options.expected;
  }

  async write(...pieces: readonly Uint8Array[]): Promise<void> {
    this.#check();
    if (pieces.every(({ length }) => length === 0)) return;
    this.#file ??= await this.#unshared(true);
    await this.#file.write(pieces);
  }

  async truncate(): Promise<void> {
    this.#check();
    this.#file ??= await this.#unshared(false);
    await this.#file.truncate();
  }

  appended(size: number, digest: string): void {
    this.#check();
    if (this.#file === undefined) throw new Error('native code appended to an ingest that has no file');
    this.#file.appended(size, digest);
  }

  async commit(options: CommitOptions): Promise<Info> {
    try {
      this.#check();
      validateLabels(options.labels ?? NO_LABELS, 'info.Labels');
      const { ref, durable } = this.#options;
      const { size = 0, expected = '' } = options;
      if (size !== 0 && size !== this.#size)
        throw failedPrecondition(`"${ref}" failed size validation: ${this.#size} != ${size}`);
      const digest = (await this.#file?.digestLike(expected)) ?? this.#options.expected;
      if (expected !== '' && expected !== digest)
        throw failedPrecondition(`unexpected commit digest ${digest}, expected ${expected}`);
      await durable;
      this.#check();
      return await this.#host.finish(digest, this.#size, this.#file, options);
    } finally {
      await this.close();
    }
  }

  /** Nothing can be written or committed any more; close() is still to be called. */
  abort(): void {
    this.#aborted = true;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      await (this.#aborted ? this.#file?.discard() : this.#file?.close());
    } finally {
      this.#host.release();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #size(): number {
    return this.#file?.size ?? this.#options.sharedSize ?? 0;
  }

  #openFile(): Promise<IngestFile> {
    return IngestFile.open(this.#options.path, algorithmOf(this.#options.expected) ?? 'sha256');
  }

  /** Gives the ingest a file of its own, with the shared bytes or empty. */
  async #unshared(copy: boolean): Promise<IngestFile> {
    const { durable, expected, path } = this.#options;
    await durable;
    if (copy) await copyFile(this.#host.blobFile(expected), path);
    const file = await this.#openFile();
    try {
      await this.#host.unshare();
    } catch (error) {
      await file.discard();
      throw error;
    }
    return file;
  }

  #check(): void {
    if (this.#refused !== undefined) throw this.#refused;
    if (this.#aborted) throw new Failure('aborted', `reference "${this.ref}" was aborted: aborted`);
    if (this.#closed) throw failedPrecondition('cannot commit on closed writer');
  }
}
