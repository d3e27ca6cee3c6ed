// What an image is made of, and how much of it is here.
import type { Client } from '../connect.ts';
import { isNotFound } from '../errors.ts';
import { readJson } from './content.ts';
import { readIndex, readManifest, selectManifest, type ImageDocument } from './resolve.ts';
import { isIndex, isManifest, type Descriptor, type Platform } from './types.ts';

/** The bytes of the image for one platform: index, manifest, config and layers. */
export async function imageSize(client: Client, target: Descriptor, platform: Platform): Promise<number> {
  const parts = await imageParts(client, target, platform);
  return parts.reduce((sum, { size }) => sum + size, isIndex(target.mediaType) ? target.size : 0);
}

/** Manifest, config and layers for one platform. */
export async function imageParts(client: Client, target: Descriptor, platform: Platform): Promise<Descriptor[]> {
  const chosen = await selectManifest(client, target, platform);
  const manifest = await readManifest(client, chosen);
  return [chosen, manifest.config, ...manifest.layers];
}

/** The platforms whose manifests are here. */
export async function imagePlatforms(client: Client, target: Descriptor): Promise<Platform[]> {
  if (isIndex(target.mediaType)) {
    const { manifests } = await readIndex(client, target);
    const images = manifests.filter(({ mediaType }) => isIndex(mediaType) || isManifest(mediaType));
    const found = await Promise.all(
      images.map((each) => (each.platform === undefined ? ofManifest(client, each) : present(client, each))),
    );
    return unique(found.flat());
  }
  return isManifest(target.mediaType) ? await ofManifest(client, target) : [];
}

async function ofManifest(client: Client, descriptor: Descriptor): Promise<Platform[]> {
  const { config } = await readManifest(client, descriptor);
  const { os, architecture, variant } = await readJson<ImageDocument>(client, config);
  return [variant ? { os, architecture, variant } : { os, architecture }];
}

async function present(client: Client, descriptor: Descriptor): Promise<Platform[]> {
  return descriptor.platform !== undefined && (await contentExists(client, descriptor.digest))
    ? [descriptor.platform]
    : [];
}

export async function contentExists(client: Client, digest: string): Promise<boolean> {
  try {
    await client.content.Info({ digest });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** What a document names: an index its manifests, a manifest its config and layers. */
export async function children(client: Client, descriptor: Descriptor): Promise<readonly Descriptor[]> {
  if (isIndex(descriptor.mediaType)) return (await readIndex(client, descriptor)).manifests;
  if (!isManifest(descriptor.mediaType)) return [];
  const manifest = await readManifest(client, descriptor);
  return [manifest.config, ...manifest.layers];
}

function unique(platforms: readonly Platform[]): Platform[] {
  return [
    ...new Map(platforms.map((each) => [JSON.stringify([each.os, each.architecture, each.variant]), each])).values(),
  ];
}
