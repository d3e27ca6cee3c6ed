// Blobs of an archive into the content store.
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import type { Content } from '../../content/api.ts';
import type { Scope } from '../../leases/api.ts';
import { digestOf } from '../../lib/digest.ts';
import { isAlreadyExists, isNotFound, kindOf } from '../../lib/errors.ts';
import type { Descriptor } from '../documents.ts';
import type { Compression, StoredFile } from './found.ts';

export interface BlobToStore {
  readonly ref: string;
  /** Undefined where the archive does not say. */
  readonly digest: string | undefined;
  readonly size: number;
  readonly labels?: ReadonlyMap<string, string>;
}

/** Written at once. */
const PIECE = 512 * 1024;

/** Stores a blob, or finds it stored. Nothing is left behind when it fails. */
export async function storeBlob(
  content: Content,
  scope: Scope,
  { ref, digest, size, labels }: BlobToStore,
  bytes: AsyncIterable<Buffer>,
): Promise<StoredFile> {
  let writer;
  try {
    writer = await content.writer(scope, { ref, expected: digest, total: digest === undefined ? 0 : size });
  } catch (error) {
    if (digest === undefined || !isAlreadyExists(error)) throw error;
    return {
      digest,
      size: content.info(scope.namespace, digest).size,
      compression: await headOf(content, scope, digest),
    };
  }
  let pieces: Buffer[] = [];
  let held = 0;
  let head: Buffer = Buffer.alloc(0);
  try {
    // Bytes that another namespace has need not be written again.
    const shared = digest !== undefined && writer.status.offset === size;
    if (!shared && writer.status.offset > 0) await writer.truncate();
    for await (const chunk of bytes) {
      if (head.length < 4) head = Buffer.concat([head, chunk.subarray(0, 4)]);
      if (shared) continue;
      pieces.push(chunk);
      held += chunk.length;
      if (held < PIECE) continue;
      await writer.write(Buffer.concat(pieces, held));
      [pieces, held] = [[], 0];
    }
    if (held > 0) await writer.write(Buffer.concat(pieces, held));
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

/** Stores a document; resolves with its descriptor. */
export async function storeDocument(
  content: Content,
  scope: Scope,
  mediaType: string,
  bytes: Buffer,
): Promise<Descriptor> {
  const digest = digestOf(bytes);
  await storeBlob(content, scope, { ref: `import-${digest}`, digest, size: bytes.length }, Readable.from([bytes]));
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
    return { ...(await storeBlob(content, scope, to, packed)), compression: 'gzip' };
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

export function compressionOf(head: Buffer): Compression {
  if (head.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) return 'gzip';
  return head.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])) ? 'zstd' : '';
}
