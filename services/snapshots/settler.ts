// A commit is acknowledged when the snapshot's files are on disk; commits that wait at the same moment
// share one sync. Until then the record carries the boot in which it was made: when the machine stops
// in between, the files may be lost, so the next daemon removes the snapshot with all that was made on
// it. Never is there a committed snapshot with files missing.
import { fault } from '../lib/fault.ts';
import type { Logger } from '../lib/log.ts';
import type { Metadata } from '../metadata/api.ts';
import type { Driver } from './api.ts';
import type { SnapshotRecord, SnapshotTable } from './store.ts';

export interface Settler {
  /** What the record of a snapshot that is committed now has to carry. */
  readonly boot: string;
  /** To be called after a commit; resolves when its files are on disk, rejects when they could not be written. */
  committed(): Promise<void>;
  /** After the metadata was opened: removes what an earlier boot left unsettled. */
  recover(): Promise<void>;
  /** Settles everything and ends. */
  close(): Promise<void>;
}

export interface SettlerDeps {
  readonly driver: Driver;
  readonly table: SnapshotTable;
  readonly metadata: Metadata;
  readonly log: Logger;
  /** Differs with every start of the machine. */
  readonly boot: string;
}

type Found = readonly [namespace: string, key: string, record: SnapshotRecord];

export function createSettler({ driver, table, metadata, log, boot }: SettlerDeps): Settler {
  let running: Promise<void> | undefined;
  let wanted = false;

  function unsettled(): Found[] {
    const found: Found[] = [];
    for (const namespace of table.namespaces()) {
      for (const [key, record] of table.entries(namespace)) {
        if (record.unsettled !== null) found.push([namespace, key, record]);
      }
    }
    return found;
  }

  async function settle(): Promise<void> {
    const ids = new Set(unsettled().map(([, , record]) => record.id));
    if (ids.size === 0) return;
    await fault('snapshots.commit.before-sync');
    await driver.sync();
    await fault('snapshots.commit.after-sync');
    await metadata.update((transaction) => {
      for (const [namespace, key, record] of unsettled()) {
        if (ids.has(record.id)) transaction.put(table, namespace, key, { ...record, unsettled: null });
      }
    });
  }

  async function run(): Promise<void> {
    try {
      while (wanted) {
        wanted = false;
        await settle();
      }
    } finally {
      running = undefined;
    }
  }

  function committed(): Promise<void> {
    wanted = true;
    running ??= run();
    return running;
  }

  function settleLater(): void {
    committed().catch((error: unknown) =>
      log.warn('files of committed snapshots not written out, will be tried again with the next commit', {
        snapshotter: driver.name,
        error,
      }),
    );
  }

  return {
    boot,
    committed,

    async recover() {
      const lost = withDescendants(
        table,
        unsettled().filter(([, , record]) => record.unsettled !== boot),
      );
      if (lost.length > 0) {
        await metadata.update((transaction) => {
          for (const [namespace, key] of lost) transaction.delete(table, namespace, key);
        });
        log.warn('snapshots removed whose files were not on disk yet when the machine stopped', {
          snapshotter: driver.name,
          snapshots: lost.map(([namespace, key]) => `${namespace}/${key}`),
        });
      }
      if (unsettled().length > 0) settleLater();
    },

    async close() {
      if (unsettled().length > 0) settleLater();
      await running?.catch(() => undefined);
    },
  };
}

function withDescendants(table: SnapshotTable, lost: readonly Found[]): Found[] {
  const all = [...lost];
  for (const [namespace, name] of all) {
    if (!table.hasChildren(namespace, name)) continue;
    for (const [key, record] of table.entries(namespace)) {
      if (record.parent === name) all.push([namespace, key, record]);
    }
  }
  return all;
}
