// Exporting: images as the tar stream of an OCI layout that `docker load` understands too.
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { pack, type Pack } from 'tar-stream';
import type { Client } from '../connect.ts';
import { ClientError, isNotFound } from '../errors.ts';
import { readBlob } from './content.ts';
import { children } from './inspect.ts';
import { platformMatch } from './platform.ts';
import { referenceObject } from './reference.ts';
import { imageTarget, readManifest, selectManifest } from './resolve.ts';
import { isIndex, isManifest, isNonDistributable, type Descriptor, type Platform } from './types.ts';

export interface ExportOptions {
  /** Of an index only what suits this; undefined exports all, and all must be there. */
  readonly platform: Platform | undefined;
  /** Leaves out Docker's manifest.json. */
  readonly skipDockerManifest: boolean;
  readonly skipNonDistributable: boolean;
  /** Ends the export, also one whose output nobody reads. */
  readonly signal?: AbortSignal;
  /** Called for each blob, with 0 bytes for all of them first. */
  readonly progress?: (blob: Descriptor, bytes: number) => void;
}

/** Writes the images to `output`. The archive's order is fixed: the same images give the same bytes. */
export async function exportImages(
  client: Client,
  names: readonly string[],
  output: Writable,
  options: ExportOptions,
): Promise<void> {
  const images = await Promise.all(names.map(async (name) => ({ name, target: await imageTarget(client, name) })));
  const blobs = new Map<string, Descriptor>();
  for (const { target } of images) await collect(client, target, options, blobs);
  const tar = pack();
  const written = copy(tar, output);
  written.catch(() => undefined);
  const { signal } = options;
  const abort = (): void => tar.destroy(signal?.reason as Error);
  signal?.addEventListener('abort', abort, { once: true });
  try {
    signal?.throwIfAborted();
    await directory(tar, 'blobs/');
    for (const algorithm of new Set([...blobs.keys()].map((digest) => digest.split(':')[0])))
      await directory(tar, `blobs/${algorithm}/`);
    const sorted = [...blobs.values()].toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
    for (const blob of sorted) options.progress?.(blob, 0);
    for (const blob of sorted) await blobEntry(client, tar, blob, options.progress);
    await text(tar, 'index.json', {
      schemaVersion: 2,
      manifests: images.map(({ name, target }) => namedDescriptor(name, target)),
    });
    if (!options.skipDockerManifest) await text(tar, 'manifest.json', await dockerManifests(client, images, options));
    await text(tar, 'oci-layout', { imageLayoutVersion: '1.0.0' });
    tar.finalize();
  } catch (error) {
    tar.destroy(error as Error);
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
  await written;
}

async function collect(
  client: Client,
  descriptor: Descriptor,
  options: ExportOptions,
  into: Map<string, Descriptor>,
): Promise<void> {
  if (into.has(descriptor.digest)) return;
  if (options.skipNonDistributable && isNonDistributable(descriptor.mediaType)) return;
  into.set(descriptor.digest, descriptor);
  if (!isIndex(descriptor.mediaType) && !isManifest(descriptor.mediaType)) return;
  const { platform } = options;
  for (const child of await children(client, descriptor)) {
    if (platform !== undefined && child.platform !== undefined && platformMatch(platform, child.platform) === 0)
      continue;
    await collect(client, child, options, into);
  }
}

/** The annotations in order: the daemon gives them in any. */
function namedDescriptor(name: string, target: Descriptor): Descriptor {
  const annotations = {
    ...target.annotations,
    'io.containerd.image.name': name,
    'org.opencontainers.image.ref.name': referenceObject(name),
  };
  const sorted = Object.fromEntries(Object.entries(annotations).toSorted());
  return { mediaType: target.mediaType, digest: target.digest, size: target.size, annotations: sorted };
}

interface DockerEntry {
  readonly Config: string;
  readonly RepoTags: string[];
  readonly Layers: string[];
}

/** One entry for each manifest, with all names that mean it. */
async function dockerManifests(
  client: Client,
  images: readonly { readonly name: string; readonly target: Descriptor }[],
  options: ExportOptions,
): Promise<DockerEntry[]> {
  const entries = new Map<string, DockerEntry>();
  for (const { name, target } of images) {
    const chosen = await selectForDocker(client, target, options.platform);
    if (chosen === undefined) continue;
    const known = entries.get(chosen.digest);
    if (known !== undefined) known.RepoTags.push(name);
    else {
      const { config, layers } = await readManifest(client, chosen);
      entries.set(chosen.digest, {
        Config: blobPath(config.digest),
        RepoTags: [name],
        Layers: layers.map(({ digest }) => blobPath(digest)),
      });
    }
  }
  return [...entries.values()];
}

async function selectForDocker(
  client: Client,
  target: Descriptor,
  platform: Platform | undefined,
): Promise<Descriptor | undefined> {
  if (platform !== undefined || isManifest(target.mediaType))
    return await selectManifest(client, target, platform ?? { os: 'linux', architecture: '' });
  return undefined;
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`;
}

async function blobEntry(
  client: Client,
  tar: Pack,
  blob: Descriptor,
  progress: ExportOptions['progress'],
): Promise<void> {
  const { digest, size } = blob;
  const header = { name: blobPath(digest), size, mode: 0o444, mtime: new Date(0) };
  let finish: (error?: Error | null) => void = () => undefined;
  const finished = new Promise<void>((resolve, reject) => (finish = (error) => (error ? reject(error) : resolve())));
  const entry = tar.entry(header, (error) => finish(error));
  // When the archive is given up, its entry is the first to hear of it.
  entry.on('error', (error) => finish(error));
  finished.catch(() => undefined);
  try {
    let done = 0;
    for await (const chunk of readBlob(client, digest)) {
      if (!entry.write(chunk)) await once(entry, 'drain');
      progress?.(blob, (done += chunk.length));
    }
  } catch (error) {
    finish();
    if (isNotFound(error))
      throw new ClientError('not found', `content ${digest}: not found; the image is incomplete`, { cause: error });
    throw error;
  }
  entry.end(null);
  await finished;
}

function text(tar: Pack, name: string, value: unknown): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry({ name, mode: 0o444, mtime: new Date(0) }, JSON.stringify(value), (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

function directory(tar: Pack, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    tar.entry({ name, type: 'directory', mode: 0o755, mtime: new Date(0) }, (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

async function copy(tar: Pack, output: Writable): Promise<void> {
  for await (const chunk of tar) {
    if (!output.write(chunk)) await once(output, 'drain');
  }
  await new Promise<void>((resolve, reject) => {
    output.write('', (error) => (error ? reject(error) : resolve()));
  });
}
