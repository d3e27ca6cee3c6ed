// A snapshotter: names, kinds and parents in the metadata, trees at the driver.
//
// The order that makes a crash harmless: a tree is made before its record is written, and removed
// after its record is gone. Whatever tree has no record is garbage, removed at start and by cleanup().
import { alreadyExists, failedPrecondition, invalidArgument, notFound, notImplemented } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { parseFilters } from '../lib/filters.ts';
import { validateLabels, withLabel, type Labels } from '../lib/labels.ts';
import type { Logger } from '../lib/log.ts';
import { now } from '../lib/time.ts';
import type { Publisher } from '../events/api.ts';
import type { LeaseHolder, Resource, Scope } from '../leases/api.ts';
import type { Metadata, Transaction } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Mount } from '../lib/mount.ts';
import type { Driver, Info, Kind, Snapshotter, Tree, Usage } from './api.ts';
import { createChains } from './chains.ts';
import { filterFields } from './filter.ts';
import { createMeasurer } from './measure.ts';
import { createReaper } from './reaper.ts';
import { createSettler } from './settler.ts';
import {
  erase,
  existing,
  infoOf,
  inheritedLabels,
  insert,
  lineage,
  parentOf,
  resourceType,
  SNAPSHOTS,
  TARGET_LABEL,
  treeOf,
  validateKey,
  type SnapshotRecord,
  type SnapshotTable,
} from './store.ts';

export interface SnapshotterDeps {
  readonly driver: Driver;
  readonly table: SnapshotTable;
  readonly metadata: Metadata;
  readonly leases: LeaseHolder;
  readonly events: Publisher;
  readonly gc: Pick<GarbageCollector, 'deleted'>;
  readonly log: Logger;
  /** Differs with every start of the machine. */
  readonly boot: string;
  /** Namespaces share the trees that the daemon unpacked. */
  readonly shared: boolean;
}

/** A snapshotter as the daemon holds it. */
export interface LocalSnapshotter extends Snapshotter {
  /** Its trees are another program's. */
  readonly foreign: boolean;
  /** After the metadata was opened and before any call: finds free ids, and removes leftovers in the background. */
  recover(): Promise<void>;
  /** Tells of a record that garbage collection removed; its files are left to cleanup(). */
  discarded(namespace: string, key: string): void;
  /** Writes out what is not on disk yet. Calls that are running may fail. */
  close(): Promise<void>;
}

export function createSnapshotter(deps: SnapshotterDeps): LocalSnapshotter {
  const { driver, table, metadata, leases, events, gc, log } = deps;
  const reaper = createReaper(driver, log);
  const measurer = createMeasurer(driver);
  const settler = createSettler(deps);
  /** Trees without a record that are no garbage: they are being made. */
  const unborn = new Set<string>();
  let nextId = 1;
  const newId = (): string => driver.foreign?.newId() ?? String(nextId++);

  const resource = (key: string): Resource => ({ type: resourceType(driver.name), id: key });

  /** Throws `already exists` when there is nothing to make; what is there is under the lease then. */
  async function refuseExisting(scope: Scope, key: string, target: string | undefined): Promise<void> {
    const isTarget = target !== undefined && table.has(scope.namespace, target);
    const found = isTarget ? target : key;
    if (!table.has(scope.namespace, found)) return;
    await metadata.update((transaction) => leases.hold(transaction, scope, resource(found)));
    throw alreadyExists(`${isTarget ? 'target snapshot' : 'snapshot'} ${JSON.stringify(found)}`);
  }

  async function create(
    scope: Scope,
    kind: Kind,
    key: string,
    parent: string,
    labels: Labels,
  ): Promise<readonly Mount[]> {
    const { namespace } = scope;
    validateKey(key);
    validateLabels(labels, 'info.Labels');
    await refuseExisting(scope, key, labels.get(TARGET_LABEL));
    const parentRecord = parentOf(table, namespace, parent);
    if (parentRecord !== undefined && parentRecord.kind !== 'committed') {
      throw invalidArgument(`failed to create snapshot: parent ${JSON.stringify(parent)} is not committed snapshot`);
    }
    const id = newId();
    const tree: Tree = { id, kind, parents: lineage(table, namespace, parent), labels: inheritedLabels(labels) };
    unborn.add(id);
    try {
      const there = driver.foreign === undefined ? undefined : await driver.foreign.create(tree);
      if (driver.foreign === undefined) await driver.create(tree);
      if (there !== undefined) return await adopt(scope, parent, labels, there);
      await fault('snapshots.prepare.before-record');
      await metadata.update((transaction) => {
        const created = now();
        const record: SnapshotRecord = {
          id,
          kind,
          parent,
          created,
          updated: created,
          labels,
          usage: null,
          unsettled: null,
        };
        insert(transaction, table, namespace, key, record, parentRecord?.id);
        leases.hold(transaction, scope, resource(key));
      });
    } catch (error) {
      reaper.add(id);
      throw error;
    } finally {
      unborn.delete(id);
    }
    return mountsOf(tree);
  }

  async function mountsOf(tree: Tree): Promise<readonly Mount[]> {
    if (driver.foreign !== undefined) return driver.foreign.mounts(tree);
    await driver.ready?.(tree);
    return driver.mounts(tree);
  }

  /** A foreign snapshotter has what was to be unpacked: it is recorded, and whoever asked is told so. */
  async function adopt(
    scope: Scope,
    parent: string,
    labels: Labels,
    there: { readonly id: string; readonly labels: Labels },
  ): Promise<never> {
    const { namespace } = scope;
    const name = labels.get(TARGET_LABEL) ?? '';
    await metadata.update((transaction) => {
      const created = now();
      const record: SnapshotRecord = {
        id: there.id,
        kind: 'committed',
        parent,
        created,
        updated: created,
        labels: new Map([...there.labels, ...labels]),
        usage: null,
        unsettled: null,
      };
      if (!table.has(namespace, name)) {
        insert(transaction, table, namespace, name, record, parentOf(table, namespace, parent)?.id);
      }
      leases.hold(transaction, scope, resource(name));
    });
    throw alreadyExists(`target snapshot ${JSON.stringify(name)} from snapshotter`);
  }

  function committable(namespace: string, key: string): SnapshotRecord {
    const record = existing(table, namespace, key);
    if (record.kind === 'active') return record;
    throw failedPrecondition(`failed to commit snapshot ${key}: snapshot ${JSON.stringify(key)} is not active`);
  }

  function refuseName(namespace: string, name: string): void {
    if (table.has(namespace, name)) throw alreadyExists(`snapshot ${JSON.stringify(name)}`);
  }

  function committedParent(namespace: string, key: string, name: string): SnapshotRecord | undefined {
    const parent = parentOf(table, namespace, name);
    if (parent === undefined || parent.kind === 'committed') return parent;
    throw failedPrecondition(`failed to commit snapshot ${key}: parent ${JSON.stringify(name)} is not committed`);
  }

  /** Writes the committed record in the place of the active one. */
  function rename(transaction: Transaction, scope: Scope, name: string, key: string, record: SnapshotRecord): void {
    const { namespace } = scope;
    const parent = committedParent(namespace, key, record.parent);
    erase(transaction, table, namespace, key);
    insert(transaction, table, namespace, name, record, parent?.id);
    leases.release(transaction, scope, resource(key));
    leases.hold(transaction, scope, resource(name));
  }

  /** Reads a committed tree that was not measured yet, for good. */
  async function measureCommitted(namespace: string, key: string, record: SnapshotRecord): Promise<Usage> {
    const usage = await measurer.read(treeOf(table, namespace, record));
    const kept = metadata.update((transaction) => {
      const current = table.get(namespace, key);
      if (current?.id === record.id) transaction.put(table, namespace, key, { ...current, usage });
    });
    // Lost, it is read again.
    kept.catch(() => undefined);
    return usage;
  }

  function removed(namespace: string, key: string): void {
    events.publish(namespace, '/snapshot/remove', 'containerd.events.SnapshotRemove', {
      key,
      snapshotter: driver.name,
    });
  }

  function garbage(id: string): boolean {
    return !unborn.has(id) && !reaper.has(id);
  }

  /** What drivers do beside the calls, one after the other. */
  let background: Promise<void> = Promise.resolve();
  function later(work: () => Promise<void> | undefined): void {
    background = background.then(work).catch((error: unknown) => {
      log.warn('trees of a snapshotter not put in order, will be tried again at the next start', {
        snapshotter: driver.name,
        error,
      });
    });
  }

  /** Hands every tree without a record to the reaper. */
  async function sweep(): Promise<void> {
    const trees = await driver.trees();
    const known = new Set(allRecords(table).map((record) => record.id));
    measurer.retain(known);
    for (const id of trees) if (!known.has(id) && garbage(id)) reaper.add(id);
  }

  return {
    name: driver.name,
    foreign: driver.foreign !== undefined,
    capabilities: driver.capabilities,
    ...(driver.foreign === undefined && { chains: createChains({ ...deps, reaper, settler, unborn, newId, later }) }),

    async prepare(scope, key, parent, labels) {
      const mounts = await create(scope, 'active', key, parent, labels);
      events.publish(scope.namespace, '/snapshot/prepare', 'containerd.events.SnapshotPrepare', {
        key,
        parent,
        snapshotter: driver.name,
      });
      return mounts;
    },

    view: (scope, key, parent, labels) => create(scope, 'view', key, parent, labels),

    async mounts(namespace, key) {
      const record = existing(table, namespace, key);
      if (record.kind === 'committed') {
        throw failedPrecondition(`failed to get active mount: requested snapshot ${key} not active or view`);
      }
      return await mountsOf(treeOf(table, namespace, record));
    },

    async commit(scope, name, key, parent, labels) {
      const { namespace } = scope;
      validateKey(name);
      validateLabels(labels, 'info.Labels');
      refuseName(namespace, name);
      const active = committable(namespace, key);
      if (active.parent === '' && parent !== '' && !driver.capabilities.includes('rebase')) {
        throw notImplemented(
          `snapshotter ${driver.name} cannot put snapshot ${JSON.stringify(key)} on a parent when it is committed`,
        );
      }
      const newParent = active.parent === '' ? parent : active.parent;
      committedParent(namespace, key, newParent);
      const tree = treeOf(table, namespace, { ...active, parent: newParent, labels });
      // A folder takes the same ever after: it is read when somebody asks, if ever.
      const usage = driver.measuresFolder === true ? null : await driver.usage(tree);
      await driver.commit(tree);
      await fault('snapshots.commit.before-record');
      await metadata.update((transaction) => {
        refuseName(namespace, name);
        const record = committable(namespace, key);
        if (record.id !== active.id) throw notFound(`snapshot ${key} does not exist`);
        const created = now();
        rename(transaction, scope, name, key, {
          ...record,
          kind: 'committed',
          parent: newParent,
          created,
          updated: created,
          labels,
          usage,
          unsettled: settler.boot,
        });
      });
      await settler.committed();
      later(() => driver.committed?.(active.id));
      const committed = { key, name, snapshotter: driver.name };
      events.publish(namespace, '/snapshot/commit', 'containerd.events.SnapshotCommit', committed);
    },

    async remove(scope, key) {
      const record = await metadata.update((transaction) => {
        const erased = erase(transaction, table, scope.namespace, key);
        leases.release(transaction, scope, resource(key));
        return erased;
      });
      if (!table.hasTree(record.id)) reaper.add(record.id);
      gc.deleted(SNAPSHOTS);
      removed(scope.namespace, key);
    },

    stat(namespace, key) {
      const record = existing(table, namespace, key);
      return infoOf(key, record, driver.describe(record.id));
    },

    async update(namespace, key, labels, mask) {
      if (key === '') throw invalidArgument('snapshot key must not be empty');
      const record = await metadata.update((transaction) => {
        const before = existing(table, namespace, key);
        const changed = { ...before, labels: maskedLabels(key, before.labels, labels, mask), updated: now() };
        transaction.put(table, namespace, key, changed);
        return changed;
      });
      return infoOf(key, record, driver.describe(record.id));
    },

    list(namespace, filters) {
      const matches = parseFilters(filters);
      const found: Info[] = [];
      for (const [key, record] of table.list(namespace)) {
        const info = infoOf(key, record, driver.describe(record.id));
        if (matches(filterFields(info))) found.push(info);
      }
      return found;
    },

    async usage(namespace, key): Promise<Usage> {
      const record = existing(table, namespace, key);
      if (record.kind === 'active') return measurer.usage(treeOf(table, namespace, record));
      if (record.kind === 'view') return { size: 0, inodes: 0 };
      return record.usage ?? (await measureCommitted(namespace, key, record));
    },

    async cleanup() {
      await background;
      await sweep();
      const failure = await reaper.drained();
      await driver.foreign?.tidy();
      if (failure !== undefined) throw failure;
    },

    async recover() {
      await settler.recover();
      if (driver.foreign !== undefined) {
        // Nobody waits for a program that may be away.
        sweep().catch((error: unknown) =>
          log.warn('snapshots of a proxy plugin not looked at', { snapshotter: driver.name, error }),
        );
        return;
      }
      const ids = [...allRecords(table).map((record) => record.id), ...(await driver.trees())];
      nextId = 1 + ids.reduce((most, id) => Math.max(most, Number.parseInt(id, 10) || 0), 0);
      const known = table.namespaces().flatMap((namespace) => {
        return table.list(namespace).map(([, record]) => treeOf(table, namespace, record));
      });
      later(() => driver.recover?.(known));
      await sweep();
    },

    discarded: removed,
    async close() {
      await settler.close();
      await background;
      await driver.close?.();
    },
  };
}

function allRecords(table: SnapshotTable): SnapshotRecord[] {
  return table.namespaces().flatMap((namespace) => table.list(namespace).map(([, record]) => record));
}

/** Throws `invalid argument` for a path that cannot be changed and for labels that are too long. */
function maskedLabels(key: string, before: Labels, wanted: Labels, mask: readonly string[]): Labels {
  let labels = mask.length === 0 ? wanted : before;
  for (const path of mask) {
    if (path === 'labels') labels = wanted;
    else if (path.startsWith('labels.')) labels = withLabel(labels, path.slice(7), wanted.get(path.slice(7)) ?? '');
    else throw invalidArgument(`cannot update ${JSON.stringify(path)} field on snapshot ${JSON.stringify(key)}`);
  }
  validateLabels(labels, 'info.Labels');
  return labels;
}
