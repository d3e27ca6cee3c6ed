// Writing image archives: the tar stream of an OCI layout that `docker load` understands too. The order
// is fixed: the same images give the same bytes.
import { finished } from 'node:stream/promises';
import { pack, type Pack } from 'tar-stream';
import type { Content } from '../../content/api.ts';
import { Failure, isNotFound } from '../../lib/errors.ts';
import { parseReference } from '../../lib/references.ts';
import { isIndex, isLayer, isManifest, isNonDistributable, parseManifest, type Descriptor } from '../documents.ts';
import { missingLayer, readChildren, readDocument } from '../read.ts';

export interface ImageToWrite {
  readonly name: string;
  readonly descriptor: Descriptor;
}

export interface WriteOptions {
  readonly namespace: string;
  /** Whether a manifest of an index is wanted. */
  selected(descriptor: Descriptor): boolean;
  /** Leaves out Docker's manifest.json. */
  readonly skipDockerManifest: boolean;
  readonly skipNonDistributable: boolean;
}

const PIECE = 256 * 1024;
const EPOCH = new Date(0);

/** The archive's bytes. Throws `not found` for content that is wanted and not here, before the first byte. */
export async function* writeArchive(
  content: Content,
  images: readonly ImageToWrite[],
  options: WriteOptions,
): AsyncGenerator<Buffer> {
  const blobs = new Map<string, Descriptor>();
  for (const { descriptor } of images) await collect(content, descriptor, options, blobs);
  const tar = pack();
  const filled = fill(content, tar, images, [...blobs.values()], options);
  filled.catch((error: unknown) => tar.destroy(error instanceof Error ? error : new Error(String(error))));
  try {
    yield* tar as AsyncIterable<Buffer>;
  } finally {
    tar.destroy();
  }
  await filled;
}

async function collect(
  content: Content,
  descriptor: Descriptor,
  options: WriteOptions,
  into: Map<string, Descriptor>,
): Promise<void> {
  if (into.has(descriptor.digest)) return;
  if (options.skipNonDistributable && isNonDistributable(descriptor.mediaType)) return;
  try {
    content.info(options.namespace, descriptor.digest);
  } catch (error) {
    if (isLayer(descriptor.mediaType)) missingLayer(descriptor)(error);
    throw error;
  }
  into.set(descriptor.digest, descriptor);
  for (const child of await readChildren(content, options.namespace, descriptor)) {
    if (isIndex(descriptor.mediaType) && !options.selected(child)) continue;
    await collect(content, child, options, into);
  }
}

async function fill(
  content: Content,
  tar: Pack,
  images: readonly ImageToWrite[],
  blobs: readonly Descriptor[],
  options: WriteOptions,
): Promise<void> {
  await entry(tar, 'blobs/');
  for (const algorithm of new Set(blobs.map(({ digest }) => digest.split(':')[0])))
    await entry(tar, `blobs/${algorithm}/`);
  for (const { digest } of blobs.toSorted((a, b) => (a.digest < b.digest ? -1 : 1)))
    await blob(content, tar, digest, options);
  const manifests = images.map(({ name, descriptor }) => ({ ...bare(descriptor), annotations: namesOf(name) }));
  await entry(tar, 'index.json', { schemaVersion: 2, manifests });
  if (!options.skipDockerManifest) {
    await entry(tar, 'manifest.json', await dockerManifests(content, images, options));
  }
  await entry(tar, 'oci-layout', { imageLayoutVersion: '1.0.0' });
  tar.finalize();
}

function bare({ mediaType, digest, size }: Descriptor): Descriptor {
  return { mediaType, digest, size };
}

function namesOf(name: string): Record<string, string> {
  return { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': objectOf(name) };
}

/** The tag, or else the digest; all of a name that is no reference. */
function objectOf(name: string): string {
  try {
    const { tag, digest } = parseReference(name);
    return tag ?? digest ?? name;
  } catch {
    return name;
  }
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags: string[];
  readonly Layers: string[];
}

/** One entry for each manifest, with all names that mean it. */
async function dockerManifests(
  content: Content,
  images: readonly ImageToWrite[],
  options: WriteOptions,
): Promise<DockerEntry[]> {
  const entries = new Map<string, DockerEntry>();
  for (const { name, descriptor } of images) {
    const chosen = await firstManifest(content, descriptor, options);
    if (chosen === undefined) continue;
    const known = entries.get(chosen.digest);
    if (known !== undefined) {
      known.RepoTags.push(name);
      continue;
    }
    const { config, layers } = parseManifest(await readDocument(content, options.namespace, chosen.digest), chosen);
    const path = ({ digest }: Descriptor): string => `blobs/${digest.replace(':', '/')}`;
    entries.set(chosen.digest, { Config: path(config), RepoTags: [name], Layers: layers.map(path) });
  }
  return [...entries.values()];
}

async function firstManifest(
  content: Content,
  descriptor: Descriptor,
  options: WriteOptions,
): Promise<Descriptor | undefined> {
  if (isManifest(descriptor.mediaType)) return descriptor;
  if (!isIndex(descriptor.mediaType)) return undefined;
  const children = await readChildren(content, options.namespace, descriptor);
  const fit = children.filter((child) => isManifest(child.mediaType) && options.selected(child));
  return fit.find((child) => child.platform !== undefined) ?? fit[0];
}

/** A folder, or a document. */
function entry(tar: Pack, name: string, document?: object): Promise<void> {
  const header = { name, mode: document === undefined ? 0o755 : 0o444, mtime: EPOCH };
  return new Promise((resolve, reject) => {
    const done = (error?: Error | null): void => (error ? reject(error) : resolve());
    if (document === undefined) tar.entry({ ...header, type: 'directory' }, done);
    else tar.entry(header, JSON.stringify(document), done);
  });
}

async function blob(content: Content, tar: Pack, digest: string, { namespace }: WriteOptions): Promise<void> {
  const opened = await content.open(namespace, digest).catch((error: unknown) => {
    throw isNotFound(error) && error instanceof Failure ? error.in('export') : error;
  });
  try {
    const name = `blobs/${digest.replace(':', '/')}`;
    const sink = tar.entry({ name, mode: 0o444, mtime: EPOCH, size: opened.size });
    const done = finished(sink);
    done.catch(() => undefined);
    for (let at = 0; at < opened.size;) {
      const piece = await opened.read(at, PIECE);
      if (piece.length === 0) throw new Failure('data loss', `content ${digest} ends at ${at}: data loss`);
      if (!sink.write(piece)) await new Promise<void>((resolve) => void sink.once('drain', resolve));
      at += piece.length;
    }
    sink.end(Buffer.alloc(0));
    await done;
  } finally {
    await opened.close();
  }
}
