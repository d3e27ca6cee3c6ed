// Opens ingests for writing, one writer each, and makes blobs of those that are committed.
//
// Order on disk: a blob's bytes and name are on disk before its record is. What a crash leaves between
// the two is a file without a record, which the sweeper removes.
import { randomUUID } from 'node:crypto';
import type { Publisher } from '../events/api.ts';
import { alreadyExists, invalidArgument, unavailable } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { NO_LABELS } from '../lib/labels.ts';
import { now } from '../lib/time.ts';
import type { LeaseHolder, Scope } from '../leases/api.ts';
import type { Metadata } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { CommitOptions, Info, IngestOptions, Writer } from './api.ts';
import type { BlobFiles } from './blobs.ts';
import type { IngestFile } from './ingest-file.ts';
import type { ContentRecords, Ingest } from './records.ts';
import type { Sweeper } from './sweeper.ts';
import { IngestWriter } from './writer.ts';

export interface WritersDeps {
  readonly metadata: Metadata;
  readonly gc: GarbageCollector;
  readonly leases: LeaseHolder;
  readonly namespaces: Namespaces;
  readonly events: Publisher;
  readonly records: ContentRecords;
  readonly files: BlobFiles;
  readonly sweeper: Sweeper;
  /** By id of the ingest. */
  readonly active: Map<string, IngestWriter>;
  readonly sharing: 'shared' | 'isolated';
  /** Told of every new blob. */
  readonly arrived?: ((blob: NewBlob) => void) | undefined;
}

export interface NewBlob {
  /** Of the ingest that it was. */
  readonly ref: string;
  readonly digest: string;
  readonly size: number;
  readonly file: string;
}

/** How long an ingest without a lease is kept after it was last opened. */
const INGEST_LIFE = 24 * 3_600_000;

/** Opens writers as Content.writer() says. */
export function createWriters(deps: WritersDeps): (scope: Scope, options: IngestOptions) => Promise<Writer> {
  const { metadata, gc, leases, namespaces, events, records, files, sweeper, active } = deps;
  const { blobs, ingests } = records;

  const shareable = (name: string, digest: string): boolean =>
    namespaces.labels(name).get('containerd.io/namespace.shareable') === 'true' && blobs.has(name, digest);

  /** The size of the blob whose bytes a new writer need not be given. */
  function sharedSize(expected: string, total: number): number | undefined {
    const size = expected === '' ? undefined : records.size(expected);
    if (size === undefined || (total !== 0 && total !== size) || sweeper.isBeingRemoved(expected)) return undefined;
    return deps.sharing === 'shared' || namespaces.list().some((name) => shareable(name, expected)) ? size : undefined;
  }

  async function open(scope: Scope, { ref, expected = '', total = 0, quiet = false }: IngestOptions): Promise<Writer> {
    if (ref === '') throw invalidArgument('ref must not be empty');
    const { namespace } = scope;
    if (expected !== '' && blobs.has(namespace, expected)) {
      await metadata.update((transaction) => leases.hold(transaction, scope, { type: 'content', id: expected }));
      throw alreadyExists(`content ${expected}`);
    }
    const shared = sharedSize(expected, total);
    let ingest: Ingest | undefined;
    const durable = metadata.update((transaction) => {
      const before = ingests.get(namespace, ref);
      refuseSecondWriter(ref, before && active.get(before.id));
      const leased = leases.hold(transaction, scope, { type: 'ingests', id: ref });
      const made: Ingest = {
        id: before?.id ?? randomUUID(),
        started: before?.started ?? now(),
        total: total === 0 ? (before?.total ?? 0) : total,
        shared: shared === undefined ? '' : expected,
        expires: leased ? (before?.expires ?? 0) : Date.now() + INGEST_LIFE,
      };
      transaction.put(ingests, namespace, ref, made);
      ingest = made;
    });
    // Only commit() waits for the disk. What the transaction itself refused is known at once.
    durable.catch(() => undefined);
    if (ingest === undefined) return durable as Promise<never>;
    const { id } = ingest;
    const writer = new IngestWriter(
      {
        finish: (digest, size, file, options) => finish(scope, writer, { digest, size, file, options, quiet }),
        unshare: () => unshare(writer),
        blobFile: (digest) => files.path(digest),
        release: () => void (active.get(id) === writer && active.delete(id)),
      },
      { namespace, ref, ingest, expected, path: sweeper.ingestPath(id), durable, sharedSize: shared },
    );
    active.set(id, writer);
    await writer.open();
    return writer;
  }

  async function unshare({ namespace, ref, ingest }: IngestWriter): Promise<void> {
    await metadata.update((transaction) => {
      if (ingests.get(namespace, ref)?.id === ingest.id)
        transaction.put(ingests, namespace, ref, { ...ingest, shared: '' });
    });
  }

  interface Finished {
    readonly digest: string;
    readonly size: number;
    /** Undefined when the bytes are there already. */
    readonly file: IngestFile | undefined;
    readonly options: CommitOptions;
    readonly quiet: boolean;
  }

  async function finish(scope: Scope, writer: IngestWriter, finished: Finished): Promise<Info> {
    const { digest, size, file } = finished;
    using _claim = await sweeper.claim(digest);
    if (file !== undefined && !(records.owned(digest) && (await files.has(digest)))) {
      await file.seal();
      await fault('content.commit.before-rename');
      await files.place(file.path, digest);
    }
    try {
      await fault('content.commit.before-record');
      const made = await record(scope, writer, finished);
      await fault('content.commit.after-record');
      await file?.discard();
      await sweeper.removeIngest(writer.ingest.id);
      if (made === undefined) throw alreadyExists(`content ${digest}`);
      if (!finished.quiet) deps.arrived?.({ ref: writer.ref, digest, size, file: files.path(digest) });
      events.publish(scope.namespace, '/content/create', 'containerd.events.ContentCreate', {
        digest,
        size: String(size),
      });
      return made;
    } finally {
      if (!records.owned(digest)) {
        sweeper.blob(digest);
        gc.unswept('content');
      }
    }
  }

  /** The ingest ends, the blob begins; undefined when the namespace had it already. */
  function record(
    scope: Scope,
    { ref, ingest }: IngestWriter,
    { digest, size, options }: Finished,
  ): Promise<Info | undefined> {
    const { namespace } = scope;
    return metadata.update((transaction) => {
      leases.hold(transaction, scope, { type: 'content', id: digest });
      leases.release(transaction, scope, { type: 'ingests', id: ref });
      if (ingests.get(namespace, ref)?.id === ingest.id) transaction.delete(ingests, namespace, ref);
      if (blobs.has(namespace, digest)) return undefined;
      const created = now();
      const made: Info = { digest, size, created, updated: created, labels: options.labels ?? NO_LABELS };
      transaction.put(blobs, namespace, digest, made);
      return made;
    });
  }

  return open;
}

function refuseSecondWriter(ref: string, first: IngestWriter | undefined): void {
  if (first === undefined) return;
  const seconds = (Date.now() - first.since.getTime()) / 1000;
  throw unavailable(`ref ${ref} locked for ${seconds}s (since ${first.since.toISOString()})`);
}
