// What garbage collection has to know of snapshots. None is needed by itself: leases, labels,
// containers and images hold them, and each holds its parent.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Collectable } from '../metadata/gc-api.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { LocalSnapshotter } from './snapshotter.ts';
import { SNAPSHOTS, type SnapshotTable } from './store.ts';

export interface Collected {
  readonly table: SnapshotTable;
  readonly snapshotter: LocalSnapshotter;
}

/** `unswept`: to be called when something is left, for the next collection. */
export function snapshotsCollectable(all: readonly Collected[], unswept: () => void): Collectable {
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
      await Promise.all(all.map(({ snapshotter }) => swept(snapshotter, unswept)));
    },
  };
}

/** How long a collection waits for a foreign snapshotter, which may be away; it goes on by itself. Milliseconds. */
const FOREIGN_PATIENCE = 2000;

async function swept(snapshotter: LocalSnapshotter, unswept: () => void): Promise<void> {
  if (!snapshotter.foreign) return await snapshotter.cleanup();
  const done = snapshotter.cleanup().catch(unswept);
  await Promise.race([done, sleep(FOREIGN_PATIENCE, undefined, { ref: false })]);
}

export function snapshotsOccupant(all: readonly Collected[]): Occupant {
  return {
    remaining: (namespace) =>
      all
        .filter(({ table }) => table.size(namespace) > 0)
        .map(({ snapshotter }) => `snapshots on ${JSON.stringify(snapshotter.name)} snapshotter`),
  };
}
