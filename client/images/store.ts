// Images in the store: what their documents hold, and their names.
import type { Client } from '../connect.ts';
import { ClientError, isAlreadyExists, isNotFound } from '../errors.ts';
import { labelContent } from './content.ts';
import { children } from './inspect.ts';
import { platformMatch } from './platform.ts';
import { toWire } from './resolve.ts';
import { isConfig, isIndex, isManifest, isNonDistributable, type Descriptor, type Platform } from './types.ts';

/** A name and what it stands for. */
export interface NamedImage {
  readonly name: string;
  readonly target: Descriptor;
}

/**
 * Labels every document with references to what it names, so that the image holds all of it.
 * Throws `not found` when documents that the platform needs are missing; with `whole` also for configs and layers,
 * except those that may not be copied.
 */
export async function holdContent(
  client: Client,
  target: Descriptor,
  platform: Platform | undefined,
  whole = false,
): Promise<void> {
  const below = (await children(client, target).catch(missing(target))).filter(
    (each) => platform === undefined || each.platform === undefined || platformMatch(platform, each.platform) > 0,
  );
  const labels: Record<string, string> = {};
  let layers = 0;
  let manifests = 0;
  for (const each of below) {
    const isDocument = isManifest(each.mediaType) || isIndex(each.mediaType);
    if (whole && !isDocument && !isNonDistributable(each.mediaType))
      await client.content.Info({ digest: each.digest }).catch(missing(each));
    if (isDocument) {
      await holdContent(client, each, platform, whole);
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

/** Gives the image its name, and takes the name from another that has it. */
export async function createOrUpdate(
  client: Client,
  { name, target }: NamedImage,
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
