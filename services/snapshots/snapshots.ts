// The snapshotters that are loaded, by name.
import { invalidArgument } from '../lib/errors.ts';
import type { Snapshots, Snapshotter } from './api.ts';

export function createSnapshots(snapshotters: readonly Snapshotter[]): Snapshots {
  const byName = new Map(snapshotters.map((snapshotter) => [snapshotter.name, snapshotter]));
  return {
    names: [...byName.keys()],
    get(name) {
      if (name === '') throw invalidArgument('snapshotter argument missing');
      const found = byName.get(name);
      if (found === undefined) throw invalidArgument(`snapshotter not loaded: ${name}`);
      return found;
    },
  };
}
