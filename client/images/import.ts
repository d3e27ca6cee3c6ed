// Importing: an archive's images into the image store.
import type { Client } from '../connect.ts';
import { ClientError, isAlreadyExists, isNotFound } from '../errors.ts';
import { readArchive, writeJson, type ReadArchiveOptions } from './archive.ts';
import { labelContent } from './content.ts';
import { children } from './inspect.ts';
import { platformMatch } from './platform.ts';
import { nameFromArchive } from './reference.ts';
import { toWire } from './resolve.ts';
import { MEDIA, isConfig, isIndex, isManifest, type Descriptor, type Index, type Platform } from './types.ts';

export interface ImportOptions extends ReadArchiveOptions {
  /** What mere tags are appended to. */
  readonly baseName: string;
  /** Images of other names than `baseName` are left out. */
  readonly onlyBaseName: boolean;
  /** Images named `baseName@digest` too. */
  readonly digests: boolean;
  /** With `digests`: not for images that have a name. */
  readonly skipDigestForNamed: boolean;
  /** Keeps the archive's index as an image of this name. */
  readonly indexName?: string | undefined;
  /** Content for other platforms is not held; undefined holds all. */
  readonly platform: Platform | undefined;
  readonly labels?: Readonly<Record<string, string>>;
}

export interface ImportedImage {
  readonly name: string;
  readonly target: Descriptor;
}

/** Run it under a lease: until the images exist nothing else holds their content. */
export async function importImages(
  client: Client,
  input: AsyncIterable<Buffer>,
  options: ImportOptions,
): Promise<ImportedImage[]> {
  const index = await readArchive(client, input, options);
  const images = await namedImages(index, options);
  if (options.indexName)
    images.push({
      name: options.indexName,
      target: await writeJson(client, MEDIA.ociIndex, { ...index, mediaType: MEDIA.ociIndex }),
    });
  if (images.length === 0)
    throw new ClientError('not found', 'archive: no image with a name in it; --digests or --index-name give one');
  for (const { target } of images) await holdContent(client, target, options.platform);
  for (const image of images) await createOrUpdate(client, image, options.labels ?? {});
  return images;
}

async function namedImages(index: Index, options: ImportOptions): Promise<ImportedImage[]> {
  const images: ImportedImage[] = [];
  for (const target of index.manifests) {
    if (!isManifest(target.mediaType) && !isIndex(target.mediaType)) continue;
    const { platform: _platform, ...descriptor } = target;
    const name = imageName(target, options);
    if (name !== undefined) images.push({ name, target: descriptor });
    if (options.digests && !(options.skipDigestForNamed && name !== undefined)) {
      images.push({ name: `${options.baseName}@${target.digest}`, target: descriptor });
    }
  }
  return images;
}

function imageName(descriptor: Descriptor, options: ImportOptions): string | undefined {
  const full = descriptor.annotations?.['io.containerd.image.name'];
  if (full) return full;
  const ref = descriptor.annotations?.['org.opencontainers.image.ref.name'];
  return ref ? nameFromArchive(ref, options.baseName, options.onlyBaseName) : undefined;
}

/**
 * Labels every document with references to what it names, so that the image holds all of it.
 * Throws `not found` when content that the platform needs is missing.
 */
export async function holdContent(client: Client, target: Descriptor, platform: Platform | undefined): Promise<void> {
  const below = (await children(client, target).catch(missing(target))).filter(
    (each) => platform === undefined || each.platform === undefined || platformMatch(platform, each.platform) > 0,
  );
  const labels: Record<string, string> = {};
  let layers = 0;
  let manifests = 0;
  for (const each of below) {
    if (isManifest(each.mediaType) || isIndex(each.mediaType)) {
      await holdContent(client, each, platform);
      labels[`containerd.io/gc.ref.content.m.${manifests++}`] = each.digest;
    } else if (isConfig(each.mediaType)) {
      labels['containerd.io/gc.ref.content.config'] = each.digest;
    } else {
      labels[`containerd.io/gc.ref.content.l.${layers++}`] = each.digest;
    }
  }
  await labelContent(client, target.digest, labels);
}

function missing(target: Descriptor): (error: unknown) => never {
  return (error) => {
    if (isNotFound(error))
      throw new ClientError(
        'not found',
        `archive: ${target.mediaType} ${target.digest} is named but not there: not found`,
        { cause: error },
      );
    throw error;
  };
}

async function createOrUpdate(
  client: Client,
  { name, target }: ImportedImage,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const image = { name, target: toWire(target), labels };
  try {
    await client.images.Create({ image });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    await client.images.Update({
      image,
      update_mask: { paths: ['target', ...Object.keys(labels).map((key) => `labels.${key}`)] },
    });
  }
}
