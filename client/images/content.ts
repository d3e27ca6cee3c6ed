// Content by digest: reading documents, and writing blobs.
import { createHash } from 'node:crypto';
import type { Input } from '../../proto/rpc.ts';
import type { Client } from '../connect.ts';
import { ClientError, isAlreadyExists, isUnavailable } from '../errors.ts';
import {
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponse,
} from '../../proto/gen/containerd.services.content.v1.ts';
import type { Descriptor } from './types.ts';

/** Manifests, indexes and configs: more is an attack, not an image. */
export const MAX_DOCUMENT = 8 * 1024 * 1024;

/** Below a daemon's limit on messages. */
const CHUNK = 1024 * 1024;

/** Writes on their way: enough to keep both sides busy, few enough that answers never pile up. */
const MOST_UNANSWERED = 16;

const LOCKED_WAIT_MS = 200;
const LOCKED_TRIES = 50;

/** The bytes of a blob, in order. */
export async function* readBlob(client: Client, digest: string): AsyncGenerator<Buffer> {
  for await (const { data } of client.content.Read({ digest })) yield data;
}

/** A whole blob that is small by its nature. */
export async function readDocument(client: Client, digest: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of readBlob(client, digest)) {
    size += chunk.length;
    if (size > MAX_DOCUMENT)
      throw new ClientError('out of range', `document ${digest}: larger than ${MAX_DOCUMENT} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export async function readJson<T>(client: Client, descriptor: Pick<Descriptor, 'digest'>): Promise<T> {
  const bytes = await readDocument(client, descriptor.digest);
  try {
    return JSON.parse(bytes.toString('utf8')) as T;
  } catch (error) {
    throw new ClientError('invalid argument', `document ${descriptor.digest}: not JSON`, { cause: error });
  }
}

export interface BlobToWrite {
  /** Names the upload: another writer of the same ref waits. */
  readonly ref: string;
  /** What the bytes must amount to; undefined where nobody knows yet. */
  readonly digest?: string | undefined;
  readonly size?: number | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/**
 * Stores a blob; resolves with its digest. One that is there already is success, and then the
 * bytes are not read. Nothing is left behind when it fails.
 */
export async function writeBlob(
  client: Client,
  blob: BlobToWrite,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await writeOnce(client, blob, bytes);
    } catch (error) {
      if (isAlreadyExists(error) && blob.digest !== undefined) return blob.digest;
      // Somebody else uploads under this ref; what they write is what we would.
      if (!isUnavailable(error) || !error.message.includes('locked') || attempt === LOCKED_TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOCKED_WAIT_MS));
    }
  }
}

async function writeOnce(
  client: Client,
  blob: BlobToWrite,
  bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<string> {
  const base = { ref: blob.ref, total: String(blob.size ?? 0), expected: blob.digest ?? '' };
  const hash = blob.digest === undefined ? createHash('sha256') : undefined;
  const call = client.content.Write();
  let unanswered = 0;
  const answer = async (): Promise<WriteContentResponse> => {
    const response = await call.receive();
    if (response === undefined) throw new ClientError('unavailable', `write ${blob.ref}: the daemon ended the call`);
    unanswered--;
    return response;
  };
  const send = async (message: Input<WriteContentRequest>): Promise<void> => {
    await call.send({ ...base, ...message });
    if (++unanswered > MOST_UNANSWERED) await answer();
  };
  let started = false;
  try {
    await send({ action: WriteAction.STAT });
    const already = Number((await answer()).offset);
    started = true;
    let offset = 0;
    for await (const piece of bytes) {
      hash?.update(piece);
      for (let from = 0; from < piece.length; from += CHUNK) {
        const chunk = piece.subarray(from, from + CHUNK);
        // An upload that was interrupted goes on where it was.
        const data = chunk.subarray(Math.min(Math.max(already - offset, 0), chunk.length));
        const at = offset + chunk.length - data.length;
        if (data.length > 0) await send({ action: WriteAction.WRITE, offset: String(at), data });
        offset += chunk.length;
      }
    }
    await send({
      action: WriteAction.COMMIT,
      total: String(blob.size ?? offset),
      offset: String(offset),
      labels: blob.labels ?? {},
    });
    call.close();
    // The answer to COMMIT comes after those to the writes.
    let digest = '';
    for await (const { digest: committed } of call) digest = committed;
    return digest;
  } catch (error) {
    call.cancel();
    if (hash !== undefined && isAlreadyExists(error)) return `sha256:${hash.digest('hex')}`;
    if (started && !isAlreadyExists(error)) await abort(client, blob.ref);
    throw error;
  }
}

/** Of a failed upload; that it is gone already does not matter. */
async function abort(client: Client, ref: string): Promise<void> {
  await client.content.Abort({ ref }, { signal: undefined, timeout: 5000 }).catch(() => undefined);
}

/** As Go writes it, so that other tools give the same documents the same digest. */
const ESCAPED = /[<>&\u2028\u2029]/g;

/** Stores a document; resolves with its descriptor. */
export async function writeJson(client: Client, mediaType: string, value: object): Promise<Descriptor> {
  const text = JSON.stringify(value).replace(
    ESCAPED,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  const bytes = Buffer.from(text);
  const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  await writeBlob(client, { ref: `manifest-${digest}`, digest, size: bytes.length }, [bytes]);
  return { mediaType, digest, size: bytes.length };
}

/** Adds labels to stored content. */
export async function labelContent(
  client: Client,
  digest: string,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const paths = Object.keys(labels).map((key) => `labels.${key}`);
  if (paths.length === 0) return;
  await client.content.Update({ info: { digest, labels }, update_mask: { paths } });
}
