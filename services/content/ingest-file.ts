// The file of an ingest, and the digest of what is in it, computed while it is written.
import { createHash, type Hash } from 'node:crypto';
import { fchmodSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { algorithmOf, formatDigest, type Algorithm } from '../lib/digest.ts';
import { Failure, diskFull } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { instantOf, now, type Instant } from '../lib/time.ts';

const READ_SIZE = 1 << 20;

export class IngestFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #algorithm: Algorithm;
  #hash: Hash;
  /** The digest that native code computed; `#hash` is then behind. */
  #known: string | undefined;
  #size = 0;
  #updated: Instant;
  #dirty = false;
  #broken: unknown;
  #closed = false;

  private constructor(path: string, handle: FileHandle, algorithm: Algorithm, updated: Instant) {
    this.path = path;
    this.#handle = handle;
    this.#algorithm = algorithm;
    this.#hash = createHash(algorithm);
    this.#updated = updated;
  }

  /** Opens or makes the file; what is in it is read once, for the digest. */
  static async open(path: string, algorithm: Algorithm): Promise<IngestFile> {
    const handle = await open(path, 'a+', 0o600);
    try {
      const { mtimeMs, size } = await handle.stat();
      const file = new IngestFile(path, handle, algorithm, size > 0 ? instantOf(mtimeMs) : now());
      if (size > 0) await file.#rehash();
      return file;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  get updated(): Instant {
    return this.#updated;
  }

  /** Of what was written so far. */
  digest(): string {
    return this.#known ?? formatDigest(this.#algorithm, this.#hash.copy());
  }

  /** Appends the pieces, one after the other. */
  async write(pieces: readonly Uint8Array[]): Promise<void> {
    this.#check();
    if (this.#known !== undefined) await this.#rehash();
    this.#dirty = true;
    try {
      await fault('content.write.before-append');
      // The digest is computed while the kernel takes the bytes.
      const written = this.#append(pieces);
      for (const piece of pieces) this.#hash.update(piece);
      await written;
    } catch (error) {
      this.#broken = error;
      throw writeFailure(this.path, error);
    }
    this.#size += lengthOf(pieces);
    this.#updated = now();
  }

  async truncate(): Promise<void> {
    this.#check();
    await this.#handle.truncate(0);
    this.#hash = createHash(this.#algorithm);
    this.#known = undefined;
    this.#size = 0;
    this.#updated = now();
  }

  /** Native code has appended: `size` and sha256 `digest` of the whole file. */
  appended(size: number, digest: string): void {
    this.#check();
    this.#dirty = true;
    this.#size = size;
    this.#known = digest;
    this.#algorithm = 'sha256';
    this.#updated = now();
  }

  /** The digest in another algorithm; reads the file when that was not expected. */
  async digestLike(expected: string): Promise<string> {
    const algorithm = algorithmOf(expected);
    if (algorithm !== undefined && algorithm !== this.#algorithm) {
      this.#algorithm = algorithm;
      await this.#rehash();
    }
    return this.digest();
  }

  /** Read-only and on disk from here on. */
  async seal(): Promise<void> {
    this.#check();
    fchmodSync(this.#handle.fd, 0o444);
    try {
      await this.#handle.datasync();
    } catch (error) {
      throw writeFailure(this.path, error);
    }
    this.#dirty = false;
  }

  /** What was written is on disk when it resolves, as far as the disk takes it. May be called again. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    try {
      if (this.#dirty) await this.#handle.datasync();
    } finally {
      await this.#handle.close();
    }
  }

  /** Closes without a care for what was written. */
  async discard(): Promise<void> {
    this.#dirty = false;
    await this.close();
  }

  async #append(pieces: readonly Uint8Array[]): Promise<void> {
    for (let left = pieces; left.length > 0;) {
      const { bytesWritten } = await this.#handle.writev(left as Uint8Array[]);
      left = rest(left, bytesWritten);
    }
  }

  async #rehash(): Promise<void> {
    const hash = createHash(this.#algorithm);
    const buffer = Buffer.allocUnsafeSlow(READ_SIZE);
    let position = 0;
    for (;;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, READ_SIZE, position);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      position += bytesRead;
    }
    this.#hash = hash;
    this.#known = undefined;
    this.#size = position;
  }

  /** After a refused write file and digest no longer agree: only a new writer, which reads the file, can go on. */
  #check(): void {
    if (this.#closed) throw new Failure('failed precondition', 'cannot write to a closed writer: failed precondition');
    if (this.#broken !== undefined) throw writeFailure(this.path, this.#broken);
  }
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

/** What comes after the first `done` bytes. */
function rest(pieces: readonly Uint8Array[], done: number): readonly Uint8Array[] {
  let at = 0;
  let left = done;
  for (let first = pieces[at]; first !== undefined && first.length <= left; first = pieces[++at]) left -= first.length;
  const [first, ...others] = pieces.slice(at);
  return first === undefined ? [] : [first.subarray(left), ...others];
}

function writeFailure(path: string, error: unknown): Failure {
  const text = `write content to ${path}: ${error instanceof Error ? error.message : String(error)}`;
  return diskFull(text, error) ?? new Failure('internal', text, { cause: error });
}
