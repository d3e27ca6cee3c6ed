// Reading image archives: the tar stream of an OCI layout or of `docker save`, into the content store.
import { createHash } from 'node:crypto';
import { Readable, type Transform } from 'node:stream';
import { createGunzip, createGzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import type { Client } from '../connect.ts';
import { ClientError } from '../errors.ts';
import { MAX_DOCUMENT, readBlob, readJson, writeBlob, writeJson } from './content.ts';
import { normalizeReference, referenceObject } from './reference.ts';
import type { ImageDocument } from './resolve.ts';
import { MEDIA, type Descriptor, type Index, type Platform } from './types.ts';

/** Of a name, in bytes, as for a path of Linux. */
const MAX_NAME = 4096;

export interface ReadArchiveOptions {
  /** Compresses layers that are not; of Docker archives only. */
  readonly compress: boolean;
  /** Bytes read so far. */
  readonly progress?: (bytes: number) => void;
}

interface StoredFile {
  readonly digest: string;
  readonly size: number;
  readonly compression: '' | 'gzip' | 'zstd';
}

interface DockerManifest {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers: readonly string[];
}

interface Found {
  layout: boolean;
  index: Index | undefined;
  docker: readonly DockerManifest[] | undefined;
  readonly files: Map<string, StoredFile>;
  readonly links: Map<string, string>;
}

/** Stores all blobs of the archive; resolves with the index of its images. */
export async function readArchive(
  client: Client,
  input: AsyncIterable<Buffer>,
  options: ReadArchiveOptions,
): Promise<Index> {
  const found: Found = { layout: false, index: undefined, docker: undefined, files: new Map(), links: new Map() };
  const tar = extract();
  const source = Readable.from(await plainTar(counted(input, options.progress)), { objectMode: false });
  source.on('error', (error) => tar.destroy(error));
  source.pipe(tar);
  try {
    for await (const entry of tar) {
      if (Math.max(entry.header.name.length, entry.header.linkname?.length ?? 0) >= MAX_NAME)
        throw new ClientError('invalid argument', `archive: a name of ${MAX_NAME} bytes or more`);
      await take(client, found, entry.header, entry as AsyncIterable<Buffer>);
      entry.resume();
    }
  } finally {
    source.destroy();
  }
  if (found.layout && found.index !== undefined) return found.index;
  if (found.docker !== undefined) return await indexOfDocker(client, found, found.docker, options.compress);
  throw new ClientError('invalid argument', 'archive: neither an OCI layout nor the output of `docker save`');
}

async function take(client: Client, found: Found, header: Header, bytes: AsyncIterable<Buffer>): Promise<void> {
  const name = clean(header.name);
  if (header.type === 'symlink' || header.type === 'link') {
    const target = header.linkname;
    found.links.set(name, clean(header.type === 'link' ? target : `${name}/../${target}`));
    return;
  }
  if (header.type !== 'file' && header.type !== 'contiguous-file') return;
  if (name === 'oci-layout') {
    const { imageLayoutVersion } = (await document(bytes, name)) as { imageLayoutVersion?: string };
    if (imageLayoutVersion !== '1.0.0')
      throw new ClientError('invalid argument', `archive: OCI layout version "${imageLayoutVersion}" is not 1.0.0`);
    found.layout = true;
  } else if (name === 'index.json') {
    found.index = (await document(bytes, name)) as Index;
  } else if (name === 'manifest.json') {
    found.docker = (await document(bytes, name)) as readonly DockerManifest[];
  } else {
    await store(client, found, name, header.size, bytes);
  }
}

async function store(
  client: Client,
  found: Found,
  name: string,
  size: number,
  bytes: AsyncIterable<Buffer>,
): Promise<void> {
  const blob = /^blobs\/([a-z0-9+._-]+)\/([a-f0-9]{32,})$/.exec(name);
  const known = blob === null ? undefined : `${blob[1]}:${blob[2]}`;
  let head: Buffer = Buffer.alloc(0);
  const observed = observe(bytes, (chunk) => {
    if (head.length < 4) head = Buffer.concat([head, chunk.subarray(0, 4)]);
  });
  const ref = `tar-${known ?? createHash('sha256').update(`${process.pid} ${name}`).digest('hex')}`;
  const digest = await writeBlob(client, { ref, digest: known, size }, observed);
  found.files.set(name, { digest, size, compression: compressionOf(head) });
}

async function indexOfDocker(
  client: Client,
  found: Found,
  manifests: readonly DockerManifest[],
  compress: boolean,
): Promise<Index> {
  const entries: Descriptor[] = [];
  for (const manifest of manifests) {
    const config = fileOf(found, manifest.Config);
    const layers: Descriptor[] = [];
    for (const name of manifest.Layers) layers.push(await layerOf(client, fileOf(found, name), compress));
    const stored = await writeJson(client, MEDIA.dockerManifest, {
      schemaVersion: 2,
      mediaType: MEDIA.dockerManifest,
      config: { mediaType: MEDIA.dockerConfig, digest: config.digest, size: config.size },
      layers,
    });
    const { os, architecture, variant } = await readJson<ImageDocument>(client, config);
    const platform: Platform = variant ? { architecture, os, variant } : { architecture, os };
    const names = (manifest.RepoTags ?? []).map(normalizeReference);
    if (names.length === 0) entries.push({ ...stored, platform });
    for (const name of names) {
      const annotations = {
        'io.containerd.image.name': name,
        'org.opencontainers.image.ref.name': referenceObject(name),
      };
      entries.push({ ...stored, annotations, platform });
    }
  }
  return { schemaVersion: 2, manifests: entries };
}

function fileOf(found: Found, name: string): StoredFile {
  let path = clean(name);
  for (let hops = 0; found.links.has(path) && hops < 16; hops++) path = found.links.get(path) ?? path;
  const file = found.files.get(path);
  if (file === undefined)
    throw new ClientError('invalid argument', `archive: manifest.json names "${name}", which is not there`);
  return file;
}

/** The same layer may be here compressed already, from another image: then that one is used. */
async function compressedTwin(client: Client, digest: string): Promise<StoredFile | undefined> {
  for await (const { info } of client.content.List({ filters: [`labels."containerd.io/uncompressed"==${digest}`] })) {
    const twin = info.find((each) => each.digest !== digest);
    if (twin === undefined) continue;
    const compression = compressionOf(await firstBytes(client, twin.digest));
    return { digest: twin.digest, size: Number(twin.size), compression };
  }
  return undefined;
}

async function firstBytes(client: Client, digest: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const { data } of client.content.Read({ digest, size: '4' })) chunks.push(data);
  return Buffer.concat(chunks);
}

async function layerOf(client: Client, stored: StoredFile, compress: boolean): Promise<Descriptor> {
  const file = (stored.compression === '' ? await compressedTwin(client, stored.digest) : undefined) ?? stored;
  if (file.compression !== '')
    return { mediaType: `${MEDIA.dockerLayer}.${file.compression}`, digest: file.digest, size: file.size };
  if (!compress) return { mediaType: MEDIA.dockerLayer, digest: file.digest, size: file.size };
  let size = 0;
  const packed = Readable.from(readBlob(client, file.digest), { objectMode: false }).pipe(createGzip()) as Transform;
  const counting = observe(packed as AsyncIterable<Buffer>, (chunk) => (size += chunk.length));
  const labels = { 'containerd.io/uncompressed': file.digest };
  const digest = await writeBlob(client, { ref: `compress-blob-${file.digest}`, labels }, counting);
  return { mediaType: `${MEDIA.dockerLayer}.gzip`, digest, size };
}

async function document(bytes: AsyncIterable<Buffer>, name: string): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of bytes) {
    size += chunk.length;
    if (size > MAX_DOCUMENT)
      throw new ClientError('invalid argument', `archive: ${name} is larger than ${MAX_DOCUMENT} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as unknown;
  } catch (error) {
    throw new ClientError('invalid argument', `archive: ${name} is not JSON`, { cause: error });
  }
}

function clean(name: string): string {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

function compressionOf(head: Buffer): StoredFile['compression'] {
  if (head.subarray(0, 2).equals(Buffer.from([0x1f, 0x8b]))) return 'gzip';
  return head.subarray(0, 4).equals(Buffer.from([0x28, 0xb5, 0x2f, 0xfd])) ? 'zstd' : '';
}

/** The archive itself may be compressed with gzip. */
async function plainTar(input: AsyncIterable<Buffer>): Promise<AsyncIterable<Buffer>> {
  const chunks = input[Symbol.asyncIterator]();
  const first = await chunks.next();
  const all = (async function* () {
    if (first.done === true) return;
    yield first.value;
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value;
  })();
  if (first.done === true || compressionOf(first.value) !== 'gzip') return all;
  const compressed = Readable.from(all, { objectMode: false });
  const gunzip = createGunzip();
  compressed.on('error', (error) => gunzip.destroy(error));
  return compressed.pipe(gunzip) as AsyncIterable<Buffer>;
}

async function* observe(bytes: AsyncIterable<Buffer>, see: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of bytes) {
    see(chunk);
    yield chunk;
  }
}

function counted(bytes: AsyncIterable<Buffer>, progress: ((bytes: number) => void) | undefined): AsyncIterable<Buffer> {
  let total = 0;
  return progress === undefined ? bytes : observe(bytes, (chunk) => progress((total += chunk.length)));
}
