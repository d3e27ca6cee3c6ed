// The records of one snapshotter, and what they say about each other.
//
//   table snapshots/<snapshotter>: namespace, key or name -> SnapshotRecord
//   indexes, in memory:            namespace, parent -> how many snapshots are on top of it
//                                  id -> how many records have that tree
import { alreadyExists, failedPrecondition, invalidArgument, notFound } from '../lib/errors.ts';
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';
import type { Metadata, Table, Transaction } from '../metadata/api.ts';
import { jsonCodec } from '../metadata/codec.ts';
import type { Info, Kind, Tree, Usage } from './api.ts';

export interface SnapshotRecord {
  /** Of the driver's tree; stays the same when an active snapshot is committed. Verified ones may share it. */
  readonly id: string;
  readonly kind: Kind;
  readonly parent: string;
  readonly created: Instant;
  readonly updated: Instant;
  readonly labels: Labels;
  /** What it takes; null until that was measured, when it was committed or when somebody first asked. */
  readonly usage: Usage | null;
  /** The boot in which it was committed, until its files are known to be on disk. */
  readonly unsettled: string | null;
  /** The daemon unpacked it and all below it, and found what the name says. Absent in older records. */
  readonly verified?: boolean;
}

export interface SnapshotTable extends Table<SnapshotRecord> {
  hasChildren(namespace: string, name: string): boolean;
  /** Whether any record, of whatever namespace, has the tree. */
  hasTree(id: string): boolean;
}

/** To be called before the metadata is opened. */
export function snapshotTable(metadata: Metadata, snapshotter: string): SnapshotTable {
  const children = new Map<string, number>();
  const trees = new Map<string, number>();
  const count = (counts: Map<string, number>, key: string, step: 1 | -1): void => {
    const total = (counts.get(key) ?? 0) + step;
    if (total === 0) counts.delete(key);
    else counts.set(key, total);
  };
  const slot = (namespace: string, parent: string): string => `${namespace}\0${parent}`;
  const counted = (namespace: string, record: SnapshotRecord | undefined, step: 1 | -1): void => {
    if (record === undefined) return;
    count(trees, record.id, step);
    if (record.parent !== '') count(children, slot(namespace, record.parent), step);
  };
  const table = metadata.table(
    `snapshots/${snapshotter}`,
    jsonCodec<SnapshotRecord>(),
    (namespace, _key, before, after) => {
      counted(namespace, before, -1);
      counted(namespace, after, 1);
    },
  );
  return Object.assign(table, {
    hasChildren: (namespace: string, name: string) => children.has(slot(namespace, name)),
    hasTree: (id: string) => trees.has(id),
  });
}

/** The type of snapshots among garbage collection's nodes; their keys are `<snapshotter>/<key>`. */
export const SNAPSHOTS = 'snapshots';

/** The resource type under which leases hold this snapshotter's snapshots. */
export function resourceType(snapshotter: string): string {
  return `${SNAPSHOTS}/${snapshotter}`;
}

const INHERITED_PREFIX = 'containerd.io/snapshot/';
export const TARGET_LABEL = 'containerd.io/snapshot.ref';

/** The labels that a driver gets to see. */
export function inheritedLabels(labels: Labels): Labels {
  return new Map([...labels].filter(([key]) => key === TARGET_LABEL || key.startsWith(INHERITED_PREFIX)));
}

/** Throws `not found`. */
export function existing(table: SnapshotTable, namespace: string, key: string): SnapshotRecord {
  const record = table.get(namespace, key);
  if (record === undefined) throw notFound(`snapshot ${key} does not exist`);
  return record;
}

/** The parent's record; undefined for ''. Throws `not found`. */
export function parentOf(table: SnapshotTable, namespace: string, parent: string): SnapshotRecord | undefined {
  if (parent === '') return undefined;
  const record = table.get(namespace, parent);
  if (record === undefined) throw notFound(`parent snapshot ${parent} does not exist`);
  return record;
}

/** Ids from the given parent down to the lowest layer. */
export function lineage(table: SnapshotTable, namespace: string, parent: string): string[] {
  const ids: string[] = [];
  for (let name = parent; name !== '';) {
    const record = parentOf(table, namespace, name);
    if (record === undefined) break;
    ids.push(record.id);
    name = record.parent;
  }
  return ids;
}

export function treeOf(table: SnapshotTable, namespace: string, record: SnapshotRecord): Tree {
  return {
    id: record.id,
    kind: record.kind,
    parents: lineage(table, namespace, record.parent),
    labels: inheritedLabels(record.labels),
  };
}

export function infoOf(name: string, record: SnapshotRecord, described: Labels): Info {
  const { kind, parent, created, updated } = record;
  const labels = described.size === 0 ? record.labels : new Map([...described, ...record.labels]);
  return { name, kind, parent, created, updated, labels };
}

/** Writes a new record. `parentId` is of the parent that its tree was made on. Throws `already exists`, `not found`. */
export function insert(
  transaction: Transaction,
  table: SnapshotTable,
  namespace: string,
  key: string,
  record: SnapshotRecord,
  parentId: string | undefined,
): void {
  if (table.has(namespace, key)) throw alreadyExists(`snapshot ${JSON.stringify(key)}`);
  // A parent that was replaced meanwhile is another one.
  if (parentOf(table, namespace, record.parent)?.id !== parentId)
    throw notFound(`parent snapshot ${record.parent} does not exist`);
  transaction.put(table, namespace, key, record);
}

/** Removes a record. Throws `not found`, `failed precondition`. */
export function erase(transaction: Transaction, table: SnapshotTable, namespace: string, key: string): SnapshotRecord {
  const record = existing(table, namespace, key);
  if (table.hasChildren(namespace, key)) throw failedPrecondition('cannot remove snapshot with child');
  transaction.delete(table, namespace, key);
  return record;
}

/** Throws `invalid argument` unless `key` can name a snapshot. */
export function validateKey(key: string): void {
  if (key === '') throw invalidArgument('snapshot key must not be empty');
  if (key.includes('\0')) throw invalidArgument(`snapshot key ${JSON.stringify(key)} contains a NUL character`);
}
