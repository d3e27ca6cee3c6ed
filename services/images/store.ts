// Images as records.
import type { Publisher } from '../events/api.ts';
import { parseDigest } from '../lib/digest.ts';
import { Failure, alreadyExists, invalidArgument, notFound } from '../lib/errors.ts';
import { maskedMap } from '../lib/field-mask.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { labelsToWire, validateLabels } from '../lib/labels.ts';
import { now } from '../lib/time.ts';
import type { LeaseHolder, Scope } from '../leases/api.ts';
import type { Metadata, Transaction } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import { expiry } from '../lib/gc-labels.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { Image, Images, ImageSpec } from './api.ts';
import { imageCodec } from './convert.ts';
import { createImageCollectable } from './gc.ts';

export interface ImagesDeps {
  readonly metadata: Metadata;
  readonly gc: GarbageCollector;
  readonly leases: LeaseHolder;
  readonly namespaces: { register(occupant: Occupant): void };
  readonly events: Publisher;
}

export function createImages({ metadata, gc, leases, namespaces, events }: ImagesDeps): Images {
  const table = metadata.table<Image>('images', imageCodec());
  const deleted = (namespace: string, name: string): void => {
    events.publish(namespace, '/images/delete', 'containerd.services.images.v1.ImageDelete', { name });
  };

  gc.register(createImageCollectable(table, deleted));
  namespaces.register({ remaining: (namespace) => (table.size(namespace) > 0 ? ['images'] : []) });

  const get = (namespace: string, name: string): Image => {
    const image = table.get(namespace, name);
    if (image === undefined) throw notFound(`image "${name}"`);
    return image;
  };

  /** An image that never expires is a root and needs no lease. */
  const put = (transaction: Transaction, scope: Scope, image: Image): void => {
    const expires = expiry(image.labels);
    if (expires !== Infinity) leases.hold(transaction, scope, { type: 'images', id: image.name });
    transaction.put(table, scope.namespace, image.name, image);
    gc.expiring(expires);
  };

  return {
    get,

    list(namespace, filters) {
      const matches = parseFilters(filters);
      return table
        .list(namespace)
        .map(([, image]) => image)
        .filter((image) => matches((path) => field(image, path)));
    },

    async create(scope, { name, labels, target }, at) {
      const image = await metadata.update((transaction) => {
        validateImage({ name, labels, target });
        if (table.has(scope.namespace, name)) throw alreadyExists(`image "${name}"`);
        const created = at ?? now();
        const image: Image = { name, labels, target, created, updated: created };
        put(transaction, scope, image);
        return image;
      });
      events.publish(scope.namespace, '/images/create', 'containerd.services.images.v1.ImageCreate', {
        name,
        labels: labelsToWire(labels),
      });
      return image;
    },

    async update(scope, given, mask, at) {
      if (given.name === '') throw new Failure('invalid argument', 'Image.Name required');
      const image = await metadata.update((transaction) => {
        const before = get(scope.namespace, given.name);
        const changed =
          mask.length === 0 ? given : mask.reduce<ImageSpec>((image, path) => masked(image, given, path), before);
        validateImage(changed);
        const { name, labels, target } = changed;
        const image: Image = { name, labels, target, created: before.created, updated: at ?? now() };
        put(transaction, scope, image);
        return image;
      });
      const { name, labels } = image;
      events.publish(scope.namespace, '/images/update', 'containerd.services.images.v1.ImageUpdate', {
        name,
        labels: labelsToWire(labels),
      });
      return image;
    },

    async delete(scope, name, { target, sync, signal }) {
      await metadata.update((transaction) => {
        const image = get(scope.namespace, name);
        if (target !== undefined && image.target.digest !== target) {
          throw notFound(`image "${name}" has target ${image.target.digest}, not ${target}`);
        }
        leases.release(transaction, scope, { type: 'images', id: name });
        transaction.delete(table, scope.namespace, name);
        gc.deleted();
      });
      deleted(scope.namespace, name);
      if (sync) await gc.collect(signal);
    },
  };
}

function masked(image: ImageSpec, given: ImageSpec, path: string): ImageSpec {
  if (path === 'target') return { ...image, target: given.target };
  const labels = maskedMap('labels', path, image.labels, given.labels);
  if (labels !== undefined) return { ...image, labels };
  const annotations = maskedMap('annotations', path, image.target.annotations, given.target.annotations);
  if (annotations !== undefined) return { ...image, target: { ...image.target, annotations } };
  throw invalidArgument(`cannot update "${path}" field on image "${image.name}"`);
}

function validateImage({ name, labels, target }: ImageSpec): void {
  if (name === '') throw new Failure('invalid argument', 'Image.Name required');
  validateLabels(labels, 'image.Labels');
  const digest = parseDigest(target.digest);
  if (typeof digest === 'string') throw invalidArgument(`target.Digest "${target.digest}" invalid: ${digest}`);
  if (target.size <= 0n) throw invalidArgument('target.Size must be greater than zero');
  if (target.mediaType === '') throw invalidArgument('target.MediaType must be set');
}

function field({ name, labels, target }: Image, path: readonly string[]): string | undefined {
  switch (path[0]) {
    case 'name':
      return name;
    case 'target':
      if (path[1] === 'digest') return target.digest;
      return path[1] === 'mediatype' ? target.mediaType : undefined;
    case 'labels':
      return mapField(labels, path);
    case 'annotations':
      return mapField(target.annotations, path);
    default:
      return undefined;
  }
}
