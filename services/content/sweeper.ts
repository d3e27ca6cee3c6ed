// Removes files that no record names: what deleted records leave behind, and, at the first sweep, what
// a crash did. A blob that is being committed is claimed and stays.
import { readdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode } from '../lib/errors.ts';
import type { BlobFiles } from './blobs.ts';
import type { ContentRecords, Orphans } from './records.ts';

export class Sweeper implements Orphans {
  readonly #blobs: BlobFiles;
  readonly #ingestFolder: string;
  readonly #isWritten: (id: string) => boolean;
  readonly #claims = new Map<string, number>();
  readonly #removals = new Map<string, Promise<void>>();
  /** What may be without a record; undefined until the folder was read. */
  #orphanBlobs: Set<string> | undefined;
  #orphanIngests: Set<string> | undefined;

  /** `isWritten`: whether an ingest has a writer. */
  constructor(blobs: BlobFiles, ingestFolder: string, isWritten: (id: string) => boolean) {
    this.#blobs = blobs;
    this.#ingestFolder = ingestFolder;
    this.#isWritten = isWritten;
  }

  blob(digest: string): void {
    this.#orphanBlobs?.add(digest);
  }

  ingest(id: string): void {
    this.#orphanIngests?.add(id);
  }

  ingestPath(id: string): string {
    return path.join(this.#ingestFolder, id);
  }

  /** The file of an ingest has served its purpose. */
  async removeIngest(id: string): Promise<void> {
    await removeFile(this.ingestPath(id));
    this.#orphanIngests?.delete(id);
  }

  /** The blob's file is safe until the claim is released, whatever the records say. */
  async claim(digest: string): Promise<Disposable> {
    for (let removal = this.#removals.get(digest); removal !== undefined; removal = this.#removals.get(digest)) {
      await removal.catch(() => undefined);
    }
    this.#claims.set(digest, (this.#claims.get(digest) ?? 0) + 1);
    return {
      [Symbol.dispose]: () => {
        const count = (this.#claims.get(digest) ?? 0) - 1;
        if (count > 0) this.#claims.set(digest, count);
        else this.#claims.delete(digest);
      },
    };
  }

  isBeingRemoved(digest: string): boolean {
    return this.#removals.has(digest);
  }

  async sweepBlobs(records: ContentRecords): Promise<void> {
    if (this.#orphanBlobs === undefined) {
      this.#orphanBlobs = new Set();
      for (const digest of await this.#blobs.list()) this.#orphanBlobs.add(digest);
    }
    for (const digest of this.#orphanBlobs) {
      if (!records.owned(digest)) {
        if (this.#claims.has(digest) || this.#removals.has(digest)) continue;
        await this.#removeBlob(digest);
      }
      this.#orphanBlobs.delete(digest);
    }
  }

  async sweepIngests(records: ContentRecords): Promise<void> {
    if (this.#orphanIngests === undefined) {
      this.#orphanIngests = new Set();
      for (const id of await readdir(this.#ingestFolder)) this.#orphanIngests.add(id);
    }
    for (const id of this.#orphanIngests) {
      if (this.#isWritten(id)) continue;
      if (records.hasIngest(id)) this.#orphanIngests.delete(id);
      else await this.removeIngest(id);
    }
  }

  async #removeBlob(digest: string): Promise<void> {
    const removal = this.#blobs.remove(digest);
    this.#removals.set(digest, removal);
    try {
      await removal;
    } finally {
      this.#removals.delete(digest);
    }
  }
}

async function removeFile(file: string): Promise<void> {
  await unlink(file).catch((error: unknown) => {
    if (errnoCode(error) !== 'ENOENT') throw error;
  });
}
