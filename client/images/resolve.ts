// From an image's target to the manifest, config and layers for a platform.
import { createHash } from 'node:crypto';
import type { Client } from '../connect.ts';
import { ClientError, isNotFound } from '../errors.ts';
import { readJson } from './content.ts';
import { formatPlatform, platformMatch } from './platform.ts';
import { normalizeReference } from './reference.ts';
import { isIndex, isManifest, type Descriptor, type Index, type Manifest, type Platform } from './types.ts';

export interface ImageDocument extends Platform {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly rootfs: { readonly type: string; readonly diff_ids: readonly string[] };
  readonly history?: readonly {
    readonly empty_layer?: boolean;
    readonly created_by?: string;
    readonly created?: string;
  }[];
  readonly created?: string;
}

/** The image of that name, or else of what the name is short for. Throws `not found`. */
export async function findImage(client: Client, ref: string): Promise<{ name: string; target: Descriptor }> {
  const get = async (name: string) => {
    const { image } = await client.images.Get({ name });
    if (!image?.target) throw new ClientError('not found', `image "${name}": not found`);
    return { name, target: fromWire(image.target) };
  };
  try {
    return await get(ref);
  } catch (error) {
    const full = normalizeReference(ref);
    if (!isNotFound(error) || full === ref) throw error;
    return await get(full).catch((second: unknown) => {
      throw isNotFound(second) ? error : second;
    });
  }
}

/** What an image's name, or its short form, stands for. */
export async function imageTarget(client: Client, ref: string): Promise<Descriptor> {
  return (await findImage(client, ref)).target;
}

/** A document that claims to be both an index and a manifest is refused (CVE-2021-41190). */
export async function readManifest(client: Client, descriptor: Pick<Descriptor, 'digest'>): Promise<Manifest> {
  const manifest = await readJson<Partial<Manifest & Index>>(client, descriptor);
  if (manifest.manifests !== undefined || manifest.config === undefined || !Array.isArray(manifest.layers)) {
    throw new ClientError('invalid argument', `manifest ${descriptor.digest}: not an image manifest`);
  }
  return manifest as Manifest;
}

export async function readIndex(client: Client, descriptor: Pick<Descriptor, 'digest'>): Promise<Index> {
  const index = await readJson<Partial<Manifest & Index>>(client, descriptor);
  if (!Array.isArray(index.manifests) || index.config !== undefined || index.layers !== undefined) {
    throw new ClientError('invalid argument', `index ${descriptor.digest}: not an image index`);
  }
  return index as Index;
}

/** The descriptor of the manifest that suits `platform` best. Throws `not found` when none does. */
export async function selectManifest(client: Client, target: Descriptor, platform: Platform): Promise<Descriptor> {
  if (isManifest(target.mediaType)) return target;
  if (!isIndex(target.mediaType)) {
    throw new ClientError(
      'invalid argument',
      `image ${target.digest}: media type "${target.mediaType}" is neither a manifest nor an index`,
    );
  }
  const { manifests } = await readIndex(client, target);
  const ranked = manifests
    // Checkpoints list parts of other kinds beside their image.
    .filter(({ mediaType }) => isIndex(mediaType) || isManifest(mediaType))
    .map((each) => ({ each, rank: each.platform === undefined ? 1 : platformMatch(platform, each.platform) }))
    .filter(({ rank }) => rank > 0)
    .toSorted((a, b) => b.rank - a.rank);
  for (const { each } of ranked) {
    if (isIndex(each.mediaType)) return await selectManifest(client, each, platform);
    return each;
  }
  throw new ClientError('not found', `image ${target.digest}: no manifest for ${formatPlatform(platform)}: not found`);
}

/** Manifest and config for `platform`. */
export async function readImage(
  client: Client,
  target: Descriptor,
  platform: Platform,
): Promise<{ readonly manifest: Manifest; readonly config: ImageDocument }> {
  const manifest = await readManifest(client, await selectManifest(client, target, platform));
  const config = await readJson<ImageDocument>(client, manifest.config);
  return { manifest, config };
}

/** The names of the snapshots that the layers are unpacked to, the image's own last. */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diff of diffIds) {
    const parent = chain.at(-1);
    chain.push(
      parent === undefined ? diff : `sha256:${createHash('sha256').update(`${parent} ${diff}`).digest('hex')}`,
    );
  }
  return chain;
}

/** A descriptor of the wire as the documents have it. */
export function fromWire(descriptor: {
  media_type: string;
  digest: string;
  size: string;
  annotations?: Record<string, string>;
}): Descriptor {
  return {
    mediaType: descriptor.media_type,
    digest: descriptor.digest,
    size: Number(descriptor.size),
    annotations: descriptor.annotations ?? {},
  };
}

export function toWire(descriptor: Descriptor): {
  media_type: string;
  digest: string;
  size: string;
  annotations: Record<string, string>;
} {
  return {
    media_type: descriptor.mediaType,
    digest: descriptor.digest,
    size: String(descriptor.size),
    annotations: { ...descriptor.annotations },
  };
}
