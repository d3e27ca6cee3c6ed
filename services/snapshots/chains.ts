// Trees that the daemon itself makes of an image's layers. Nobody else knows one before it is committed, so a
// committed one is what the name says, and records of several namespaces may refer to it (docs/adr/0005).
import { fault } from '../lib/fault.ts';
import { validateLabels } from '../lib/labels.ts';
import { now } from '../lib/time.ts';
import type { Publisher } from '../events/api.ts';
import type { LeaseHolder } from '../leases/api.ts';
import type { Metadata } from '../metadata/api.ts';
import type { Chains, Driver, Settling, Tree } from './api.ts';
import type { Reaper } from './reaper.ts';
import type { Settler } from './settler.ts';
import {
  inheritedLabels,
  insert,
  lineage,
  parentOf,
  resourceType,
  validateKey,
  type SnapshotRecord,
  type SnapshotTable,
} from './store.ts';

export interface ChainsDeps {
  readonly driver: Driver;
  readonly table: SnapshotTable;
  readonly metadata: Metadata;
  readonly leases: LeaseHolder;
  readonly events: Publisher;
  readonly reaper: Reaper;
  readonly settler: Settler;
  /** Trees without a record that are no garbage. */
  readonly unborn: Set<string>;
  readonly shared: boolean;
  newId(): string;
  /** Nobody waits for it, and a failure is logged. */
  later(work: () => Promise<void> | undefined): void;
}

/** The tree of a record that was written; undefined when it was there. */
type Made = { readonly id: string } | undefined;

export function createChains(deps: ChainsDeps): Chains {
  const { driver, table, metadata, leases, events, reaper, settler, unborn, shared } = deps;

  /** A record of that name, in any namespace, whose tree may be referred to. */
  function verified(name: string): { record: SnapshotRecord; parentId: string | undefined } | undefined {
    if (!shared) return undefined;
    for (const namespace of table.namespaces()) {
      const record = table.get(namespace, name);
      if (record?.verified === true) return { record, parentId: parentOf(table, namespace, record.parent)?.id };
    }
    return undefined;
  }

  function settling(namespace: string, name: string, durable: Promise<void>, made: Made): Settling {
    durable.catch(() => undefined);
    return {
      async settle() {
        await durable;
        if (table.get(namespace, name)?.unsettled !== null) await settler.committed();
        if (made === undefined) return;
        deps.later(() => driver.committed?.(made.id));
        const committed = { key: name, name, snapshotter: driver.name };
        events.publish(namespace, '/snapshot/commit', 'containerd.events.SnapshotCommit', committed);
      },
    };
  }

  const begin: Chains['begin'] = async (scope, name, parent, labels) => {
    const { namespace } = scope;
    validateKey(name);
    validateLabels(labels, 'info.Labels');
    const id = deps.newId();
    const tree = (below: string): Tree => ({
      id,
      kind: 'active',
      parents: lineage(table, namespace, below),
      labels: inheritedLabels(labels),
    });
    const discard = (): void => {
      unborn.delete(id);
      reaper.add(id);
    };
    unborn.add(id);
    try {
      await driver.create(tree(parent));
      await fault('snapshots.prepare.before-record');
    } catch (error) {
      discard();
      throw error;
    }
    return {
      mounts: (below) => driver.mounts(tree(below)),
      discard: () => Promise.resolve(discard()),
      async commit(below, known) {
        const made = tree(below);
        const parentId = parentOf(table, namespace, below)?.id;
        const usage = (driver.measuresFolder === true ? known : undefined) ?? (await driver.usage(made));
        await driver.commit(made);
        await fault('snapshots.commit.before-record');
        let visible = false;
        const durable = metadata.update((transaction) => {
          const created = now();
          const record: SnapshotRecord = {
            id,
            kind: 'committed',
            parent: below,
            created,
            updated: created,
            labels,
            usage,
            unsettled: settler.boot,
            verified: below === '' || parentOf(table, namespace, below)?.verified === true,
          };
          insert(transaction, table, namespace, name, record, parentId);
          leases.hold(transaction, scope, { type: resourceType(driver.name), id: name });
          visible = true;
        });
        // What the transaction itself refused is known at once.
        if (!visible) await durable;
        unborn.delete(id);
        return settling(namespace, name, durable, { id });
      },
    };
  };

  return {
    // What has to be made ready is readable on the tree that it was made on only.
    rebase: driver.capabilities.includes('rebase') && driver.ready === undefined,
    shared,
    begin,
    has: (namespace, name) => table.has(namespace, name) || verified(name) !== undefined,

    async claim(scope, name, parent, labels) {
      const { namespace } = scope;
      const own = table.has(namespace, name);
      if (!own && verified(name) === undefined) return undefined;
      let claimed = false;
      let made: Made;
      const durable = metadata.update((transaction) => {
        if (!table.has(namespace, name)) {
          const source = verified(name);
          const parentId = parentOf(table, namespace, parent)?.id;
          if (source === undefined || source.parentId !== parentId) return;
          const created = now();
          const record = { ...source.record, created, updated: created, labels };
          insert(transaction, table, namespace, name, record, parentId);
          made = record;
        }
        leases.hold(transaction, scope, { type: resourceType(driver.name), id: name });
        claimed = true;
      });
      if (claimed) return settling(namespace, name, durable, made);
      await durable;
      return undefined;
    },
  };
}
