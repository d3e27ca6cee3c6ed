// Tagging: further names for what an image points to.
import type { Images } from '../images/api.ts';
import type { Transfers } from './api.ts';
import { storedNames, storeImage, descriptorOfImage } from './store.ts';

export function createTag(images: Images): Transfers['tag'] {
  return async (scope, from, to) => {
    const descriptor = descriptorOfImage(images.get(scope.namespace, from.name));
    await storeImage(images, scope, storedNames(to, descriptor.digest), descriptor, to);
  };
}
