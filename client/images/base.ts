// What a container's snapshot is based on, as an image.
import type { Client } from '../connect.ts';
import { ClientError, isNotFound } from '../errors.ts';
import { readJson } from './content.ts';
import { contentExists } from './inspect.ts';
import { hostPlatform } from './platform.ts';
import { chainIds, fromWire, readIndex, readManifest, type ImageDocument } from './resolve.ts';
import { isIndex, isManifest, MEDIA, type Descriptor, type Manifest } from './types.ts';

export interface Base {
  readonly mediaType: string;
  readonly manifest: Pick<Manifest, 'layers'>;
  readonly config: ImageDocument;
}

/**
 * The image whose topmost layer is unpacked as `snapshot`: the one of this name, or, since names move on,
 * any that is here. '' is based on nothing. Throws `not found` for no such image, and `failed precondition`
 * when a layer of it is not here.
 */
export async function baseImage(client: Client, name: string, snapshot: string): Promise<Base> {
  if (snapshot === '') return scratch();
  const { images } = await client.images.List({});
  const named = images.filter((image) => image.name === name);
  for (const { target } of [...named, ...images]) {
    const found = target === null ? undefined : await manifestWith(client, fromWire(target), snapshot);
    if (found === undefined) continue;
    await checkLayers(client, found.manifest.layers);
    return found;
  }
  throw new ClientError(
    'not found',
    `image "${name}": it is not here, or no longer what the container was made from: not found`,
  );
}

function scratch(): Base {
  const rootfs = { type: 'layers', diff_ids: [] };
  return { mediaType: MEDIA.ociManifest, manifest: { layers: [] }, config: { ...hostPlatform(), rootfs } };
}

async function manifestWith(client: Client, target: Descriptor, snapshot: string): Promise<Base | undefined> {
  try {
    if (isIndex(target.mediaType)) {
      const { manifests } = await readIndex(client, target);
      for (const each of manifests) {
        const found = await manifestWith(client, each, snapshot);
        if (found !== undefined) return found;
      }
    }
    if (!isManifest(target.mediaType)) return undefined;
    const manifest = await readManifest(client, target);
    const config = await readJson<ImageDocument>(client, manifest.config);
    const matches = chainIds(config.rootfs?.diff_ids ?? []).at(-1) === snapshot;
    return matches ? { mediaType: target.mediaType, manifest, config } : undefined;
  } catch (error) {
    // Content of other platforms is not here as a rule.
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

async function checkLayers(client: Client, layers: readonly Descriptor[]): Promise<void> {
  for (const { digest } of layers) {
    if (await contentExists(client, digest)) continue;
    throw new ClientError(
      'failed precondition',
      `layer ${digest} of the container's image: its content is not here (--discard-unpacked-layers?); pull or import the image again`,
    );
  }
}
