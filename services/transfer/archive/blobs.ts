// Blobs of an archive into the content store.
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Content, Writer } from '../../content/api.ts';
import type { Scope } from '../../leases/api.ts';
import { digestOf } from '../../lib/digest.ts';
import { isAlreadyExists, isNotFound, kindOf } from '../../lib/errors.ts';
import { claim } from '../claim.ts';
import type { Descriptor } from '../documents.ts';
import { compressionOf, type Compression, type StoredFile } from './found.ts';
import type { Data } from './members.ts';

export interface BlobToStore {
  readonly ref: string;
  /** Undefined where the archive does not say. */
  readonly digest: string | undefined;
  readonly size: number;
  readonly labels?: ReadonlyMap<string, string>;
}

/** Written at once. */
const PIECE = 256 * 1024;
/** What is small, or made here, is written to the end. */
const NEVER = new AbortController().signal;

/** Stores a blob, or finds it stored. Nothing is left behind when it fails. */
export async function storeBlob(
  content: Content,
  scope: Scope,
  { ref, digest, size, labels }: BlobToStore,
  bytes: Data['bytes'],
  signal: AbortSignal,
): Promise<StoredFile> {
  const options = { ref, expected: digest, total: digest === undefined ? 0 : size };
  const writer = await claim(content, scope, options, signal);
  if (writer === undefined) {
    // Only a blob that was expected can be here.
    const known = digest ?? '';
    const { size: stored } = content.info(scope.namespace, known);
    return { digest: known, size: stored, compression: await headOf(content, scope, known) };
  }
  try {
    // Bytes that another namespace has need not be written again.
    const shared = digest !== undefined && writer.status.offset === size;
    if (!shared && writer.status.offset > 0) await writer.truncate();
    const head = 'copy' in bytes ? await bytes.head() : await append(shared ? undefined : writer, bytes);
    if ('copy' in bytes && !shared) writer.appended(size, await bytes.copy(writer.file, signal));
    const stored = { digest: writer.digest(), size: writer.status.offset, compression: compressionOf(head) };
    try {
      await writer.commit({ expected: digest, labels });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    return stored;
  } catch (error) {
    await writer.close();
    if (kindOf(error) !== 'already exists') {
      await content.abort(scope, ref).catch((gone: unknown) => {
        if (!isNotFound(gone)) throw gone;
      });
    }
    throw error;
  } finally {
    await writer.close();
  }
}

/** Reads all of it, and writes it where there is a writer; resolves with the first bytes. */
async function append(writer: Writer | undefined, bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  let pieces: Buffer[] = [];
  let held = 0;
  const flush = async (): Promise<void> => {
    const taken = pieces;
    [pieces, held] = [[], 0];
    await writer?.write(...taken);
  };
  for await (const chunk of bytes) {
    if (head.length < 4) head = Buffer.concat([head, chunk.subarray(0, 4)]);
    if (writer === undefined) continue;
    pieces.push(chunk);
    held += chunk.length;
    if (held >= PIECE) await flush();
  }
  if (held > 0) await flush();
  return head;
}

/** Stores a document; resolves with its descriptor. */
export async function storeDocument(
  content: Content,
  scope: Scope,
  mediaType: string,
  bytes: Buffer,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  await storeBlob(
    content,
    scope,
    { ref: `import-${digest}`, digest, size: bytes.length },
    Readable.from([bytes]),
    NEVER,
  );
  return { mediaType, digest, size: bytes.length };
}

/** Stores a compressed copy of a layer; it remembers what it is uncompressed. */
export async function storeCompressed(content: Content, scope: Scope, digest: string): Promise<StoredFile> {
  const blob = await content.open(scope.namespace, digest);
  const bytes = async function* (): AsyncGenerator<Buffer> {
    for (let at = 0; at < blob.size;) {
      const piece = await blob.read(at, PIECE);
      if (piece.length === 0) return;
      yield piece;
      at += piece.length;
    }
  };
  try {
    const packed = Readable.from(bytes(), { objectMode: false }).pipe(createGzip());
    const labels = new Map([['containerd.io/uncompressed', digest]]);
    const to = { ref: `compress-${digest}`, digest: undefined, size: 0, labels };
    return { ...(await storeBlob(content, scope, to, packed, NEVER)), compression: 'gzip' };
  } finally {
    await blob.close();
  }
}

async function headOf(content: Content, scope: Scope, digest: string): Promise<Compression> {
  const blob = await content.open(scope.namespace, digest);
  try {
    return compressionOf(await blob.read(0, 4));
  } finally {
    await blob.close();
  }
}
