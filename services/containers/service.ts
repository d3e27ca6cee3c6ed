// containerd.services.containers.v1: decode, one call, encode.
import {
  ContainersName,
  type Container,
  type ContainersService,
} from '../../proto/gen/containerd.services.containers.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { containerToWire, specFromWire } from './convert.ts';
import type { ContainerStore } from './store.ts';

export function createContainersService(containers: ContainerStore): Registration {
  return registration<ContainersService>(ContainersName, {
    Get: ({ id }, call) => ({ container: containerToWire(containers.get(call.namespace(), id)) }),
    List: ({ filters }, call) => ({ containers: containers.list(call.namespace(), filters).map(containerToWire) }),
    async *ListStream({ filters }, call) {
      for (const container of containers.list(call.namespace(), filters))
        yield { container: containerToWire(container) };
    },
    async Create({ container }, call) {
      return { container: containerToWire(await containers.create(call.namespace(), specFromWire(given(container)))) };
    },
    async Update({ container, update_mask }, call) {
      const spec = specFromWire(given(container));
      return { container: containerToWire(await containers.update(call.namespace(), spec, update_mask?.paths ?? [])) };
    },
    async Delete({ id }, call) {
      await containers.delete(call.namespace(), id);
      return {};
    },
  });
}

function given(container: Container | null): Container {
  if (container === null) throw invalidArgument('container is required');
  return container;
}
