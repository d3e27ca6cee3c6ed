// Files of committed snapshots reach the disk some seconds after the commit, since waiting for them
// would make every unpack wait for whatever else is being written. Until then the record carries the
// boot in which it was committed. After a power cut that boot is over: the files may be lost, so the
// snapshot is removed with all that was made on it, and its client makes it again. Never is there a
// committed snapshot with files missing.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from '../lib/log.ts';
import type { Metadata } from '../metadata/api.ts';
import type { Driver } from './api.ts';
import type { SnapshotRecord, SnapshotTable } from './store.ts';

/** How long commits are gathered before their files are written out, in milliseconds. */
const DELAY = 2000;

export interface Settler {
  /** What the record of a snapshot that is committed now has to carry. */
  readonly boot: string;
  /** To be called after a commit. */
  committed(): void;
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
  const closing = new AbortController();
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
    await driver.sync();
    await metadata.update((transaction) => {
      for (const [namespace, key, record] of unsettled()) {
        if (ids.has(record.id)) transaction.put(table, namespace, key, { ...record, unsettled: null });
      }
    });
  }

  async function run(): Promise<void> {
    while (wanted) {
      wanted = false;
      await sleep(DELAY, undefined, { signal: closing.signal, ref: false }).catch(() => undefined);
      try {
        await settle();
      } catch (error) {
        log.warn('files of committed snapshots not written out, will be tried again with the next commit', {
          snapshotter: driver.name,
          error,
        });
      }
    }
    running = undefined;
  }

  function committed(): void {
    wanted = true;
    running ??= run();
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
      if (unsettled().length > 0) committed();
    },

    async close() {
      closing.abort();
      if (unsettled().length > 0) committed();
      await running;
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
