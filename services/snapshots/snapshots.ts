// The snapshotters of the daemon, by name.
import { invalidArgument } from '../lib/errors.ts';
import type { Publisher } from '../events/api.ts';
import type { LeaseHolder } from '../leases/api.ts';
import type { Logger } from '../lib/log.ts';
import type { Metadata } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { Driver, Snapshots } from './api.ts';
import { snapshotsCollectable, snapshotsOccupant } from './gc.ts';
import { createSnapshotter } from './snapshotter.ts';
import { SNAPSHOTS, snapshotTable } from './store.ts';

export interface SnapshotsDeps {
  readonly metadata: Metadata;
  readonly gc: Pick<GarbageCollector, 'register' | 'deleted' | 'unswept'>;
  readonly leases: LeaseHolder;
  readonly namespaces: Pick<Namespaces, 'register'>;
  readonly events: Publisher;
  readonly log: Logger;
  /** Differs with every start of the machine. */
  readonly boot: string;
  /** Namespaces share the trees that the daemon unpacked. */
  readonly shared: boolean;
}

export interface DaemonSnapshots extends Snapshots {
  /** After the metadata was opened and before any call: finds free ids, and removes leftovers in the background. */
  recover(): Promise<void>;
  /** After the last call. */
  close(): Promise<void>;
}

/** To be called before the metadata is opened. */
export function createSnapshots(deps: SnapshotsDeps, drivers: readonly Driver[]): DaemonSnapshots {
  const all = drivers.map((driver) => {
    const table = snapshotTable(deps.metadata, driver.name);
    return { table, snapshotter: createSnapshotter({ ...deps, driver, table }) };
  });
  const byName = new Map(all.map(({ snapshotter }) => [snapshotter.name, snapshotter]));

  deps.gc.register(snapshotsCollectable(all, () => deps.gc.unswept(SNAPSHOTS)));
  deps.namespaces.register(snapshotsOccupant(all));

  return {
    names: [...byName.keys()],
    get(name) {
      if (name === '') throw invalidArgument('snapshotter argument missing');
      const found = byName.get(name);
      if (found === undefined) throw invalidArgument(`snapshotter not loaded: ${name}`);
      return found;
    },
    async recover() {
      for (const snapshotter of byName.values()) await snapshotter.recover();
    },
    async close() {
      for (const snapshotter of byName.values()) await snapshotter.close();
    },
  };
}
