// Importing: an archive's images into the image store.
import type { Client } from '../connect.ts';
import { ClientError } from '../errors.ts';
import { readArchive, type ReadArchiveOptions } from './archive.ts';
import { writeJson } from './content.ts';
import { nameFromArchive } from './reference.ts';
import { createOrUpdate, holdContent, type NamedImage } from './store.ts';
import { MEDIA, isIndex, isManifest, type Descriptor, type Index, type Platform } from './types.ts';

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

/** Run it under a lease: until the images exist nothing else holds their content. */
export async function importImages(
  client: Client,
  input: AsyncIterable<Buffer>,
  options: ImportOptions,
): Promise<NamedImage[]> {
  const index = await readArchive(client, input, options);
  const images = await namedImages(index, options);
  if (options.indexName)
    images.push({
      name: options.indexName,
      target: await writeJson(client, MEDIA.ociIndex, { ...index, mediaType: MEDIA.ociIndex }),
    });
  if (images.length === 0)
    throw new ClientError('not found', 'archive: no image with a name in it; --digests or --index-name give one');
  for (const { target } of images) await holdContent(client, target, options.platform, true);
  for (const image of images) await createOrUpdate(client, image, options.labels ?? {});
  return images;
}

async function namedImages(index: Index, options: ImportOptions): Promise<NamedImage[]> {
  const images: NamedImage[] = [];
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
