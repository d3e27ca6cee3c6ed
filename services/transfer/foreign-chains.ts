// Chains of a snapshotter that has none of its own: it is asked as any client would, one layer after the other.
import { randomBytes } from 'node:crypto';
import type { Chains, Snapshotter } from '../snapshots/api.ts';

export function foreignChains(snapshotter: Snapshotter): Chains {
  return {
    rebase: false,
    shared: false,
    has: () => false,
    claim: () => Promise.resolve(undefined),
    // Throws `already exists` for what is there, as the label says which snapshot this is to become.
    async begin(scope, name, parent, labels) {
      const key = `extract-${process.hrtime.bigint()}-${randomBytes(3).toString('base64url')} ${name}`;
      const mounts = await snapshotter.prepare(scope, key, parent, labels);
      return {
        mounts: () => mounts,
        async commit() {
          await snapshotter.commit(scope, name, key, '', labels);
          return { settle: () => Promise.resolve() };
        },
        discard: () => snapshotter.remove(scope, key),
      };
    },
  };
}
