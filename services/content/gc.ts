// Content in garbage collection. Blobs are needed when something refers to them. Ingests are roots
// until they expire, while somebody writes them, and while a lease holds them.
import { NO_LABELS } from '../lib/labels.ts';
import type { Table } from '../metadata/api.ts';
import type { Collectable } from '../metadata/gc-api.ts';
import type { Info } from './api.ts';
import type { Ingest } from './records.ts';

export function createBlobCollectable(blobs: Table<Info>, sweep: () => Promise<void>): Collectable {
  return {
    type: 'content',
    rootLabel: true,
    namespaces: () => blobs.namespaces(),
    each(namespace, visit) {
      for (const [digest, info] of blobs.entries(namespace)) visit(digest, info.labels);
    },
    labels: (namespace, digest) => blobs.get(namespace, digest)?.labels,
    rootUntil: () => 0,
    references: () => undefined,
    remove: (transaction, namespace, digest) => transaction.delete(blobs, namespace, digest),
    sweep,
  };
}

export function createIngestCollectable(
  ingests: Table<Ingest>,
  isWritten: (id: string) => boolean,
  sweep: () => Promise<void>,
): Collectable {
  return {
    type: 'ingests',
    rootLabel: false,
    namespaces: () => ingests.namespaces(),
    each(namespace, visit) {
      for (const [ref] of ingests.entries(namespace)) visit(ref, NO_LABELS);
    },
    labels: (namespace, ref) => (ingests.has(namespace, ref) ? NO_LABELS : undefined),
    rootUntil(namespace, ref) {
      const ingest = ingests.get(namespace, ref);
      if (ingest === undefined) return 0;
      return isWritten(ingest.id) ? Infinity : ingest.expires;
    },
    references(namespace, ref, _flat, emit) {
      const shared = ingests.get(namespace, ref)?.shared ?? '';
      if (shared !== '') emit('content', shared, false);
    },
    remove: (transaction, namespace, ref) => transaction.delete(ingests, namespace, ref),
    sweep,
  };
}
