// The content store: which namespace has which blob, and which ingests there are.
import { mkdir, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Publisher } from '../events/api.ts';
import { errnoCode, invalidArgument, notFound } from '../lib/errors.ts';
import { maskedMap } from '../lib/field-mask.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { validateLabels, type Labels } from '../lib/labels.ts';
import { instantOf, now } from '../lib/time.ts';
import type { LeaseHolder } from '../leases/api.ts';
import type { Metadata } from '../metadata/api.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Namespaces } from '../namespaces/api.ts';
import type { Content, Info, IngestStatus } from './api.ts';
import { BlobFiles } from './blobs.ts';
import { createBlobCollectable, createIngestCollectable } from './gc.ts';
import { ContentRecords, type Ingest } from './records.ts';
import { Sweeper } from './sweeper.ts';
import type { IngestWriter } from './writer.ts';
import { createWriters, type NewBlob } from './writers.ts';

export interface ContentDeps {
  readonly metadata: Metadata;
  readonly gc: GarbageCollector;
  readonly leases: LeaseHolder;
  readonly namespaces: Namespaces;
  readonly events: Publisher;
  /** Where `blobs/` and `ingest/` are. */
  readonly folder: string;
  /** `shared`: who knows a digest gets its bytes; `isolated`: who sends them does. */
  readonly sharing: 'shared' | 'isolated';
  /** Told of every new blob. */
  readonly arrived?: (blob: NewBlob) => void;
}

export interface ContentStore extends Content {
  /** Makes the folders; before the daemon serves. */
  start(): Promise<void>;
  /** Closes writers that are still open; their ingests stay. */
  stop(): Promise<void>;
}

export function createContent(deps: ContentDeps): ContentStore {
  const { metadata, gc, leases, namespaces, events } = deps;
  const ingestFolder = path.join(deps.folder, 'ingest');
  const blobFolder = path.join(deps.folder, 'blobs');
  const files = new BlobFiles(blobFolder);
  const active = new Map<string, IngestWriter>();
  const sweeper = new Sweeper(files, ingestFolder, (id) => active.has(id));
  const records = new ContentRecords(metadata, {
    blob: (digest) => sweeper.blob(digest),
    ingest(id) {
      sweeper.ingest(id);
      active.get(id)?.abort();
    },
  });
  const { blobs, ingests } = records;

  gc.register(createBlobCollectable(blobs, () => sweeper.sweepBlobs(records)));
  gc.register(
    createIngestCollectable(
      ingests,
      (id) => active.has(id),
      () => sweeper.sweepIngests(records),
    ),
  );
  namespaces.register({
    remaining: (namespace) => (blobs.size(namespace) > 0 ? ['blobs'] : []),
    clear(transaction, namespace) {
      for (const [ref] of ingests.entries(namespace)) transaction.delete(ingests, namespace, ref);
      gc.unswept('ingests');
    },
  });

  const info = (namespace: string, digest: string): Info => {
    const found = blobs.get(namespace, digest);
    if (found === undefined) throw notFound(`content digest ${digest}`);
    return found;
  };

  const ingest = (namespace: string, ref: string): Ingest => {
    const found = ingests.get(namespace, ref);
    if (found === undefined) throw notFound(`reference ${ref}`);
    return found;
  };

  async function status(ref: string, { id, started, total, shared }: Ingest): Promise<IngestStatus> {
    const writer = active.get(id);
    if (writer !== undefined) return writer.status;
    if (shared !== '') {
      const size = records.size(shared) ?? 0;
      return { ref, offset: size, total: size, expected: shared, started, updated: started };
    }
    const file = await stat(sweeper.ingestPath(id)).catch((error: unknown) => {
      if (errnoCode(error) !== 'ENOENT') throw error;
    });
    return {
      ref,
      offset: file?.size ?? 0,
      total,
      expected: '',
      started,
      updated: file === undefined ? started : instantOf(file.mtimeMs),
    };
  }

  return {
    has: (namespace, digest) => blobs.has(namespace, digest),
    info,
    writer: createWriters({
      metadata,
      gc,
      leases,
      namespaces,
      events,
      records,
      files,
      sweeper,
      active,
      sharing: deps.sharing,
      arrived: deps.arrived,
    }),

    list(namespace, filters) {
      const matches = parseFilters(filters);
      return blobs
        .list(namespace)
        .map(([, blob]) => blob)
        .filter((blob) => matches((fieldpath) => field(blob, fieldpath)));
    },

    async open(namespace, digest) {
      const { size } = info(namespace, digest);
      return files.open(digest, size);
    },

    path: (namespace, digest) => files.path(info(namespace, digest).digest),

    update(namespace, digest, labels, mask) {
      return metadata.update((transaction) => {
        const before = info(namespace, digest);
        const updated: Info = { ...before, updated: now(), labels: updatedLabels(before, labels, mask) };
        validateLabels(updated.labels, 'info.Labels');
        transaction.put(blobs, namespace, digest, updated);
        return updated;
      });
    },

    async delete(scope, digest) {
      await metadata.update((transaction) => {
        info(scope.namespace, digest);
        transaction.delete(blobs, scope.namespace, digest);
        leases.release(transaction, scope, { type: 'content', id: digest });
        gc.deleted('content');
      });
      events.publish(scope.namespace, '/content/delete', 'containerd.events.ContentDelete', { digest });
    },

    status: async (namespace, ref) => status(ref, ingest(namespace, ref)),

    async statuses(namespace, filters) {
      const matches = parseFilters(filters);
      const found = ingests
        .list(namespace)
        .filter(([ref]) => matches((fieldpath) => (fieldpath[0] === 'ref' ? ref : undefined)));
      return Promise.all(found.map(([ref, record]) => status(ref, record)));
    },

    async abort(scope, ref) {
      const { id } = ingest(scope.namespace, ref);
      await metadata.update((transaction) => {
        transaction.delete(ingests, scope.namespace, ref);
        leases.release(transaction, scope, { type: 'ingests', id: ref });
      });
      await sweeper.removeIngest(id);
    },

    async start() {
      await mkdir(ingestFolder, { recursive: true, mode: 0o700 });
      await mkdir(blobFolder, { recursive: true, mode: 0o700 });
    },

    async stop() {
      await Promise.all([...active.values()].map((writer) => writer.close()));
      await files.close();
    },
  };
}

function updatedLabels({ digest, labels: before }: Info, given: Labels, mask: readonly string[]): Labels {
  if (mask.length === 0) return given;
  return mask.reduce<Labels>((labels, fieldpath) => {
    const changed = maskedMap('labels', fieldpath, labels, given);
    if (changed === undefined) throw invalidArgument(`cannot update "${fieldpath}" field on content info "${digest}"`);
    return changed;
  }, before);
}

function field(blob: Info, fieldpath: readonly string[]): string | undefined {
  if (fieldpath[0] === 'digest') return blob.digest;
  return fieldpath[0] === 'labels' ? mapField(blob.labels, fieldpath) : undefined;
}
