// containerd.services.namespaces.v1: decode, one call, encode.
import {
  NamespacesName,
  type Namespace,
  type NamespacesService,
} from '../../proto/gen/containerd.services.namespaces.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import type { Namespaces } from './api.ts';

export function createNamespacesService(namespaces: Namespaces): Registration {
  const describe = (name: string) => ({ name, labels: labelsToWire(namespaces.labels(name)) });
  return registration<NamespacesService>(NamespacesName, {
    Get: ({ name }) => ({ namespace: describe(name) }),
    List: () => ({ namespaces: namespaces.list().map(describe) }),
    async Create({ namespace }) {
      const { name, labels } = given(namespace);
      await namespaces.create(name, labelsFromWire(labels));
      return { namespace: describe(name) };
    },
    async Update({ namespace, update_mask }) {
      const { name, labels } = given(namespace);
      await namespaces.update(name, labelsFromWire(labels), update_mask?.paths ?? []);
      return { namespace: describe(name) };
    },
    async Delete({ name }) {
      await namespaces.delete(name);
      return {};
    },
  });
}

function given(namespace: Namespace | null): Namespace {
  if (namespace === null) throw invalidArgument('namespace is required');
  return namespace;
}
