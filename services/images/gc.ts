// Images in garbage collection: roots until they expire, that need their target.
import { NO_LABELS } from '../lib/labels.ts';
import type { Table } from '../metadata/api.ts';
import type { Collectable } from '../metadata/gc-api.ts';
import { expiry } from '../lib/gc-labels.ts';
import type { Image } from './api.ts';

export function createImageCollectable(
  images: Table<Image>,
  removed: (namespace: string, name: string) => void,
): Collectable {
  return {
    type: 'images',
    rootLabel: false,
    namespaces: () => images.namespaces(),
    each(namespace, visit) {
      for (const [name, image] of images.entries(namespace)) visit(name, image.labels);
    },
    labels: (namespace, name) => images.get(namespace, name)?.labels,
    rootUntil: (namespace, name) => expiry(images.get(namespace, name)?.labels ?? NO_LABELS),
    references(namespace, name, flat, emit) {
      const image = images.get(namespace, name);
      if (image !== undefined) emit('content', image.target.digest, flat);
    },
    remove: (transaction, namespace, name) => transaction.delete(images, namespace, name),
    removed,
  };
}
