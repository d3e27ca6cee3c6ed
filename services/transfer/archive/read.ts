// Reading image archives: the tar stream of an OCI layout or of `docker save`, into the content store.
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { extract, type Header } from 'tar-stream';
import type { Content } from '../../content/api.ts';
import type { Scope } from '../../leases/api.ts';
import { parseDigest } from '../../lib/digest.ts';
import { Failure, invalidArgument } from '../../lib/errors.ts';
import { MAX_DOCUMENT, parseIndex, type Descriptor } from '../documents.ts';
import { readLimited } from '../registry/limited.ts';
import { compressionOf, storeBlob, storeDocument } from './blobs.ts';
import { indexOfDocker, parseDockerManifests } from './docker.ts';
import { clean, type Found } from './found.ts';

/** What an archive held. */
export interface Archive {
  /** The document that lists its images, stored. */
  readonly index: Descriptor;
  readonly images: readonly Descriptor[];
}

export interface ReadOptions {
  /** Compresses layers that are not; of Docker archives only. */
  readonly compress: boolean;
}

const OCI_INDEX = 'application/vnd.oci.image.index.v1+json';
const MAX_ENTRIES = 100_000;

/** Stores all blobs of the archive and the list of its images. Throws `invalid argument` for anything else. */
export async function readArchive(
  content: Content,
  scope: Scope,
  input: AsyncIterable<Buffer>,
  { compress }: ReadOptions,
  signal: AbortSignal,
): Promise<Archive> {
  const found: Found = { layout: false, index: undefined, docker: undefined, files: new Map(), links: new Map() };
  const source = Readable.from(input, { objectMode: false, signal });
  const tar = extract();
  const plain = await plainTar(source);
  plain.on('error', (error) => tar.destroy(error));
  plain.pipe(tar);
  try {
    let entries = 0;
    for await (const entry of tar) {
      if (++entries > MAX_ENTRIES) throw invalidArgument(`archive: more than ${MAX_ENTRIES} entries`);
      await take(content, scope, found, entry.header, entry as AsyncIterable<Buffer>);
      entry.resume();
    }
  } catch (error) {
    signal.throwIfAborted();
    throw error instanceof Failure
      ? error
      : invalidArgument(`archive: ${error instanceof Error ? error.message : ''}`, { cause: error });
  } finally {
    source.destroy();
    plain.destroy();
  }
  if (found.layout && found.index !== undefined) {
    const descriptor = { mediaType: OCI_INDEX, digest: 'index.json', size: found.index.length };
    const images = parseIndex(withoutType(found.index), descriptor);
    return { index: await storeDocument(content, scope, OCI_INDEX, found.index), images };
  }
  if (found.docker === undefined)
    throw invalidArgument('archive: neither an OCI layout nor the output of `docker save`');
  const images = await indexOfDocker(content, scope, found, found.docker, compress);
  const document = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: images };
  return { index: await storeDocument(content, scope, OCI_INDEX, Buffer.from(JSON.stringify(document))), images };
}

async function take(
  content: Content,
  scope: Scope,
  found: Found,
  { name: path, type, linkname, size }: Header,
  bytes: AsyncIterable<Buffer>,
): Promise<void> {
  const name = clean(path);
  if (type === 'symlink' || type === 'link') {
    found.links.set(name, clean(type === 'link' ? (linkname ?? '') : `${name}/../${linkname ?? ''}`));
    return;
  }
  if (type !== 'file' && type !== 'contiguous-file') return;
  const document = (): Promise<Buffer> => readLimited(bytes, MAX_DOCUMENT, `archive: ${name}`);
  if (name === 'oci-layout') {
    if (!/"imageLayoutVersion"\s*:\s*"1\.0\.\d+"/.test((await document()).toString('utf8'))) {
      throw invalidArgument('archive: the OCI layout is not of version 1.0');
    }
    found.layout = true;
  } else if (name === 'index.json') {
    found.index = await document();
  } else if (name === 'manifest.json') {
    found.docker = parseDockerManifests(await document());
  } else {
    const [, algorithm, encoded] = /^blobs\/([^/]+)\/([^/]+)$/.exec(name) ?? [];
    const digest = `${algorithm}:${encoded}`;
    const known = algorithm !== undefined && typeof parseDigest(digest) !== 'string' ? digest : undefined;
    const ref = `import-${known ?? createHash('sha256').update(`${process.hrtime.bigint()} ${name}`).digest('hex')}`;
    const stored = await storeBlob(content, scope, { ref, digest: known, size: size ?? 0 }, bytes);
    found.files.set(name, stored);
  }
}

/** The index of a layout need not say what it is, and may say anything that means it. */
function withoutType(index: Buffer): Buffer {
  try {
    const { mediaType: _own, ...rest } = JSON.parse(index.toString('utf8')) as Record<string, unknown>;
    return Buffer.from(JSON.stringify(rest));
  } catch {
    return index;
  }
}

/** The archive itself may be compressed with gzip. */
async function plainTar(source: Readable): Promise<Readable> {
  const first = await new Promise<Buffer | undefined>((resolve, reject) => {
    const settle = (): void => {
      const chunk = source.read() as Buffer | null;
      if (chunk !== null) source.unshift(chunk);
      for (const event of ['readable', 'end']) source.off(event, settle);
      source.off('error', reject);
      resolve(chunk ?? undefined);
    };
    source.once('readable', settle).once('end', settle).once('error', reject);
  });
  if (first === undefined || compressionOf(first) !== 'gzip') return source;
  const gunzip = createGunzip();
  source.on('error', (error) => gunzip.destroy(error));
  return source.pipe(gunzip);
}
