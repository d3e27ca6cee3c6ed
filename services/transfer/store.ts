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

/** The names of an image in an archive: what the archive says, seen through the prefixes. */
export function importedNames({ extraReferences }: StorePlace, { digest, annotations = {} }: Descriptor): string[] {
  const names: string[] = [];
  for (const { name: prefix, isPrefix, allowOverwrite, addDigest, skipNamedDigest } of extraReferences) {
    if (!isPrefix) continue;
    const own = annotated(annotations, prefix, allowOverwrite);
    if (own !== '') names.push(own);
    if (addDigest && (own === '' || !skipNamedDigest)) names.push(`${prefix}@${digest}`);
  }
  return names;
}

function annotated(annotations: Readonly<Record<string, string>>, prefix: string, overwrite: boolean): string {
  const full = annotations['io.containerd.image.name'] ?? '';
  if (full !== '') return overwrite || below(full, prefix) ? full : '';
  const ref = annotations['org.opencontainers.image.ref.name'] ?? '';
  if (ref === '') return '';
  if (!/[/:@]/.test(ref)) return `${prefix}:${ref}`;
  return overwrite || below(ref, prefix) ? ref : '';
}

function below(name: string, prefix: string): boolean {
  return name.startsWith(prefix) && (name.length === prefix.length || /[:/@]/.test(name[prefix.length] ?? ''));
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
