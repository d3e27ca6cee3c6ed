// Another compression for layers: native code between two files that have no name.
import { randomBytes } from 'node:crypto';
import { open, rm, type FileHandle } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { layerToErofs, recompressLayer } from '../../native/addon/index.ts';
import type { Client } from '../../client/connect.ts';
import { labelContent, readBlob, writeBlob } from '../../client/images/content.ts';
import type { Part } from '../output/bars.ts';
import { EROFS_LAYER, type Descriptor } from '../../client/images/types.ts';

export type Compression = 'none' | 'gzip' | 'zstd';
/** What layers can become: archives, or images of file systems. */
export type LayerForm = Compression | 'erofs';

/** How far one layer is, in bytes. */
export interface LayerStep {
  readonly layer: Descriptor;
  readonly event: 'reading' | 'compressing' | 'uncompressing' | 'building' | 'storing' | 'complete';
  readonly done: number;
  readonly total: number;
}

export function layerPart({ layer, event, done, total }: LayerStep): Part {
  const [, hash = ''] = layer.digest.split(':');
  // How large it becomes is not known before.
  const measured = event === 'reading' || event === 'storing';
  const size = measured || event === 'complete' ? total : done;
  return {
    key: layer.digest,
    label: `layer ${hash.slice(0, 12)}`,
    event,
    done,
    total: size,
    last: event === 'complete',
    measured,
  };
}

const LOOK_MS = 200;
const CHUNK = 1024 * 1024;

/** For convertImage: layers that have not this form are written anew. */
export function layerConverter(
  client: Client,
  form: LayerForm,
  report: (step: LayerStep) => void,
  signal: AbortSignal,
): (layer: Descriptor) => Promise<Descriptor | undefined> {
  return async (layer) => {
    const mediaType = form === 'erofs' ? EROFS_LAYER : compressedType(layer.mediaType, form);
    if (mediaType === layer.mediaType) return undefined;
    const { size: total } = layer;
    await using before = await nameless();
    let done = 0;
    for await (const chunk of readBlob(client, layer.digest)) {
      await before.file.write(chunk);
      report({ layer, event: 'reading', done: (done += chunk.length), total });
    }
    await using after = await nameless();
    const event = EVENTS[form];
    const stop = watch(after.file, (bytes) => report({ layer, event, done: bytes, total }));
    const written = await write(form, before.path, after.path, signal).finally(stop);
    const size = Number(written.size);
    const labels = { 'containerd.io/uncompressed': written.uncompressedDigest };
    const blob = { ref: `convert-${form}-from-${layer.digest}`, digest: written.digest, size, labels };
    await writeBlob(
      client,
      blob,
      contentOf(after.file, (bytes) => report({ layer, event: 'storing', done: bytes, total: size })),
    );
    // One that was there may not say it.
    await labelContent(client, written.digest, labels);
    report({ layer, event: 'complete', done: size, total: size });
    return { ...layer, mediaType, digest: written.digest, size };
  };
}

const EVENTS = { none: 'uncompressing', gzip: 'compressing', zstd: 'compressing', erofs: 'building' } as const;

/** Of one layer, unpacked: what the daemon takes too. */
const LIMITS = { maxSize: 64 * 1024 ** 3, maxEntries: 4_000_000 };

async function write(form: LayerForm, blob: string, file: string, signal: AbortSignal) {
  if (form !== 'erofs') return recompressLayer({ blob, file, compression: form }, signal);
  const scratch = path.join(os.tmpdir(), `davit-${randomBytes(8).toString('hex')}`);
  const { digest, size } = await layerToErofs({ blob, file, scratch, ...LIMITS }, signal);
  return { digest, size, uncompressedDigest: digest };
}

/** OCI's types end in `+gzip`, Docker's in `.gzip`. */
function compressedType(mediaType: string, compression: Compression): string {
  const base = mediaType.replace(/[+.](gzip|zstd)$/, '');
  if (compression === 'none') return base;
  return `${base}${base.startsWith('application/vnd.docker.') ? '.' : '+'}${compression}`;
}

interface Nameless extends AsyncDisposable {
  readonly file: FileHandle;
  /** Leads to it as long as it is open. */
  readonly path: string;
}

/** Gone with this program, however it ends. */
async function nameless(): Promise<Nameless> {
  const name = path.join(os.tmpdir(), `davit-${randomBytes(8).toString('hex')}`);
  const file = await open(name, 'wx+', 0o600);
  await rm(name);
  return { file, path: `/proc/self/fd/${file.fd}`, [Symbol.asyncDispose]: () => file.close() };
}

function watch(file: FileHandle, tell: (bytes: number) => void): () => void {
  const timer = setInterval(() => {
    file.stat().then(
      ({ size }) => tell(size),
      () => undefined,
    );
  }, LOOK_MS);
  return () => clearInterval(timer);
}

async function* contentOf(file: FileHandle, tell: (bytes: number) => void): AsyncGenerator<Buffer> {
  for (let position = 0; ;) {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    tell(position);
    yield buffer.subarray(0, bytesRead);
  }
}
