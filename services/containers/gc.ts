// Containers in garbage collection: roots that need their snapshot; never collected.
import type { Table } from '../metadata/api.ts';
import type { Collectable } from '../metadata/gc-api.ts';
import type { Container } from './api.ts';

export function createContainerCollectable(containers: Table<Container>): Collectable {
  return {
    type: 'containers',
    rootLabel: false,
    namespaces: () => containers.namespaces(),
    each(namespace, visit) {
      for (const [id, container] of containers.entries(namespace)) visit(id, container.labels);
    },
    labels: (namespace, id) => containers.get(namespace, id)?.labels,
    rootUntil: () => Infinity,
    references(namespace, id, _flat, emit) {
      const container = containers.get(namespace, id);
      if (container === undefined || container.snapshotter === '') return;
      emit('snapshots', `${container.snapshotter}/${container.snapshotKey}`, false);
    },
  };
}
