// Leases in garbage collection: roots until they expire; expired ones are removed with what they hold.
import { NO_LABELS } from '../lib/labels.ts';
import type { Table } from '../metadata/api.ts';
import type { Collectable } from '../metadata/gc-api.ts';
import { expiry, isFlat } from '../lib/gc-labels.ts';
import type { Lease } from './api.ts';
import { holdingKey, type Holding, type Holdings } from './holdings.ts';

const SNAPSHOTS = 'snapshots/';

export function createLeaseCollectable(
  leases: Table<Lease>,
  resources: Table<Holding>,
  holdings: Holdings,
): Collectable {
  return {
    type: 'leases',
    rootLabel: false,
    namespaces: () => leases.namespaces(),
    each(namespace, visit) {
      for (const [id] of leases.entries(namespace)) visit(id, NO_LABELS);
    },
    // A lease holds its resources; its labels refer to nothing.
    labels: (namespace, id) => (leases.has(namespace, id) ? NO_LABELS : undefined),
    rootUntil: (namespace, id) => expiry(leases.get(namespace, id)?.labels ?? NO_LABELS),
    references(namespace, id, _flat, emit) {
      const flat = isFlat(leases.get(namespace, id)?.labels ?? NO_LABELS);
      for (const { type, id: key } of holdings.of(namespace, id)) {
        if (type.startsWith(SNAPSHOTS)) emit('snapshots', `${type.slice(SNAPSHOTS.length)}/${key}`, flat);
        else emit(type, key, flat && type !== 'ingests');
      }
    },
    remove(transaction, namespace, id) {
      for (const resource of holdings.of(namespace, id))
        transaction.delete(resources, namespace, holdingKey(id, resource));
      transaction.delete(leases, namespace, id);
    },
  };
}
