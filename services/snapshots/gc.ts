// What garbage collection has to know of snapshots. None is needed by itself: leases, labels,
// containers and images hold them, and each holds its parent.
import type { Collectable } from '../metadata/gc-api.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { LocalSnapshotter } from './snapshotter.ts';
import { SNAPSHOTS, type SnapshotTable } from './store.ts';

export interface Collected {
  readonly table: SnapshotTable;
  readonly snapshotter: LocalSnapshotter;
}

export function snapshotsCollectable(all: readonly Collected[]): Collectable {
  const byName = new Map(all.map((one) => [one.snapshotter.name, one]));

  function find(node: string): { one: Collected; key: string } | undefined {
    const slash = node.indexOf('/');
    const one = byName.get(node.slice(0, slash));
    return one && { one, key: node.slice(slash + 1) };
  }

  return {
    type: SNAPSHOTS,
    rootLabel: true,
    namespaces: () => new Set(all.flatMap(({ table }) => table.namespaces())),
    each(namespace, visit) {
      for (const { table, snapshotter } of all) {
        for (const [key, record] of table.entries(namespace)) visit(`${snapshotter.name}/${key}`, record.labels);
      }
    },
    labels(namespace, node) {
      const found = find(node);
      return found?.one.table.get(namespace, found.key)?.labels;
    },
    rootUntil: () => 0,
    references(namespace, node, flat, emit) {
      const found = find(node);
      const parent = found?.one.table.get(namespace, found.key)?.parent ?? '';
      if (found !== undefined && parent !== '') emit(SNAPSHOTS, `${found.one.snapshotter.name}/${parent}`, flat);
    },
    remove(transaction, namespace, node) {
      const found = find(node);
      if (found !== undefined) transaction.delete(found.one.table, namespace, found.key);
    },
    removed(namespace, node) {
      const found = find(node);
      found?.one.snapshotter.discarded(namespace, found.key);
    },
    async sweep() {
      for (const { snapshotter } of all) await snapshotter.cleanup();
    },
  };
}

export function snapshotsOccupant(all: readonly Collected[]): Occupant {
  return {
    remaining: (namespace) =>
      all
        .filter(({ table }) => table.size(namespace) > 0)
        .map(({ snapshotter }) => `snapshots on ${JSON.stringify(snapshotter.name)} snapshotter`),
  };
}
