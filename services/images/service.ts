// containerd.services.images.v1: decode, one call, encode.
import { ImagesName, type ImagesService } from '../../proto/gen/containerd.services.images.v1.ts';
import type { Call } from '../grpc/call.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { instantFromWire } from '../lib/time.ts';
import type { Scope } from '../leases/api.ts';
import type { Images } from './api.ts';
import { imageToWire, specFromWire } from './convert.ts';

export function createImagesService(images: Images): Registration {
  return registration<ImagesService>(ImagesName, {
    Get: ({ name }, call) => ({ image: imageToWire(images.get(call.namespace(), name)) }),
    List: ({ filters }, call) => ({ images: images.list(call.namespace(), filters).map(imageToWire) }),
    async Create({ image, source_date_epoch }, call) {
      const created = await images.create(scope(call), specFromWire(image), instantFromWire(source_date_epoch));
      return { image: imageToWire(created) };
    },
    async Update({ image, update_mask, source_date_epoch }, call) {
      const mask = update_mask?.paths ?? [];
      const updated = await images.update(scope(call), specFromWire(image), mask, instantFromWire(source_date_epoch));
      return { image: imageToWire(updated) };
    },
    async Delete({ name, sync, target }, call) {
      // An empty digest asks for nothing.
      await images.delete(scope(call), name, { target: target?.digest || undefined, sync, signal: call.signal });
      return {};
    },
  });
}

function scope(call: Call): Scope {
  return { namespace: call.namespace(), lease: call.lease };
}
