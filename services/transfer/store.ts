// From content to images: which names a descriptor is stored under, and found by.
import type { Image, Images, ImageSpec } from '../images/api.ts';
import type { Scope } from '../leases/api.ts';
import { isAlreadyExists, isNotFound, notFound } from '../lib/errors.ts';
import type { StorePlace } from './api.ts';
import type { Descriptor } from './documents.ts';

export function targetOf({ mediaType, digest, size, annotations = {} }: Descriptor): ImageSpec['target'] {
  return { mediaType, digest, size: BigInt(size), annotations: new Map(Object.entries(annotations)) };
}

export function descriptorOfImage({ target }: Image): Descriptor {
  const { mediaType, digest, size } = target;
  return { mediaType, digest, size: Number(size) };
}

/** The names of an image whose name the caller knows: its own, and further ones. */
export function storedNames({ name, extraReferences }: StorePlace, digest: string): string[] {
  const names = name === '' ? [] : [name];
  for (const extra of extraReferences) {
    if (extra.isPrefix && !extra.addDigest) continue;
    names.push(extra.addDigest ? `${extra.name}@${digest}` : extra.name);
  }
  return names;
}

/**
 * Stores the descriptor under all names; an image that has one of them now points here. Throws
 * `not found` when there is no name.
 */
export async function storeImage(
  images: Images,
  scope: Scope,
  names: readonly string[],
  descriptor: Descriptor,
  { name: primary, labels }: StorePlace,
): Promise<void> {
  if (names.length === 0) throw notFound('no image name found');
  const extra = new Map(labels);
  if (primary !== '') {
    // The further names go when the first one does.
    extra.set('containerd.io/gc.bref.image', primary);
    extra.set('containerd.io/gc.expire', new Date().toISOString());
  }
  for (const name of names) {
    await createOrUpdate(images, scope, {
      name,
      target: targetOf(descriptor),
      labels: name === primary ? labels : extra,
    });
  }
}

async function createOrUpdate(images: Images, scope: Scope, image: ImageSpec): Promise<void> {
  for (;;) {
    try {
      await images.create(scope, image, undefined);
      return;
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
    try {
      await images.update(scope, image, [], undefined);
      return;
    } catch (error) {
      // Somebody has just removed it.
      if (!isNotFound(error)) throw error;
    }
  }
}
