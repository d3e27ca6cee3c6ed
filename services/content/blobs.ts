// The files of blobs: <folder>/<algorithm>/<hex>, read-only, whole from the moment they have that name.
import { access, mkdir, open, readdir, rename, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { parseDigest } from '../lib/digest.ts';
import { errnoCode, notFound } from '../lib/errors.ts';
import type { Blob } from './api.ts';
import { Handles, type Lent } from './handles.ts';

export class BlobFiles {
  readonly #folder: string;
  readonly #folders = new Map<string, Promise<SyncedFolder>>();
  readonly #handles = new Handles();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Where a blob's bytes are. The digest must be well-formed: it becomes part of a path. */
  path(digest: string): string {
    const parsed = parseDigest(digest);
    if (typeof parsed === 'string') throw new Error(`digest ${JSON.stringify(digest)}: ${parsed}`);
    return path.join(this.#folder, parsed.algorithm, parsed.encoded);
  }

  async open(digest: string, size: number): Promise<Blob> {
    const file = this.path(digest);
    try {
      return new OpenBlob(await this.#handles.lend(file), size);
    } catch (error) {
      if (errnoCode(error) !== 'ENOENT') throw error;
      throw notFound(`blob ${digest} expected at ${file}`, { cause: error });
    }
  }

  async has(digest: string): Promise<boolean> {
    try {
      await access(this.path(digest));
      return true;
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  /** Moves a file that is on disk into place. Resolves when its name is on disk too. */
  async place(file: string, digest: string): Promise<void> {
    const target = this.path(digest);
    const folder = await this.#open(path.dirname(target));
    await rename(file, target);
    this.#handles.forget(target);
    await folder.sync();
  }

  /** Nothing happens when there is no such file. */
  async remove(digest: string): Promise<void> {
    const file = this.path(digest);
    this.#handles.forget(file);
    await unlink(file).catch((error: unknown) => {
      if (errnoCode(error) !== 'ENOENT') throw error;
    });
  }

  /** The digests of all files. */
  async list(): Promise<string[]> {
    const found: string[] = [];
    for (const algorithm of await names(this.#folder)) {
      for (const encoded of await names(path.join(this.#folder, algorithm))) {
        const digest = `${algorithm}:${encoded}`;
        if (typeof parseDigest(digest) !== 'string') found.push(digest);
      }
    }
    return found;
  }

  async close(): Promise<void> {
    await this.#handles.close();
    for (const folder of this.#folders.values()) await (await folder).close();
    this.#folders.clear();
  }

  #open(folder: string): Promise<SyncedFolder> {
    let opened = this.#folders.get(folder);
    if (opened === undefined) {
      opened = openFolder(folder, this.#folder);
      opened.catch(() => this.#folders.delete(folder));
      this.#folders.set(folder, opened);
    }
    return opened;
  }
}

async function openFolder(folder: string, parent: string): Promise<SyncedFolder> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await using above = await open(parent, 'r');
  await above.sync();
  return new SyncedFolder(await open(folder, 'r'));
}

/** A folder whose names can be brought to disk; callers that come while a sync runs share the next one. */
class SyncedFolder {
  readonly #handle: FileHandle;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  sync(): Promise<void> {
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<void> | undefined): Promise<void> {
    await running?.catch(() => undefined);
    this.#running = this.#next;
    this.#next = undefined;
    await this.#handle.sync();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

class OpenBlob implements Blob {
  readonly size: number;
  readonly #file: Lent;

  constructor(file: Lent, size: number) {
    this.#file = file;
    this.size = size;
  }

  async read(position: number, length: number): Promise<Buffer> {
    const buffer = Buffer.allocUnsafeSlow(Math.max(0, Math.min(length, this.size - position)));
    let filled = 0;
    while (filled < buffer.length) {
      const { bytesRead } = await this.#file.handle.read(buffer, filled, buffer.length - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  }

  async close(): Promise<void> {
    this.#file.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

async function names(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    const code = errnoCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return [];
    throw error;
  }
}
