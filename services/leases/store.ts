// Leases as records, and what they hold as one record for each resource.
import { randomBytes } from 'node:crypto';
import { alreadyExists, invalidArgument, notFound, notImplemented } from '../lib/errors.ts';
import { mapField, parseFilters } from '../lib/filters.ts';
import { expiry } from '../lib/gc-labels.ts';
import { parseDigest } from '../lib/digest.ts';
import { now } from '../lib/time.ts';
import type { Metadata, Table } from '../metadata/api.ts';
import { jsonCodec } from '../metadata/codec.ts';
import type { GarbageCollector } from '../metadata/gc-api.ts';
import type { Occupant } from '../namespaces/api.ts';
import type { Lease, Leases, Resource } from './api.ts';
import { createLeaseCollectable } from './gc.ts';
import { Holdings, holdingKey, type Holding } from './holdings.ts';

export interface LeasesDeps {
  readonly metadata: Metadata;
  readonly gc: GarbageCollector;
  readonly namespaces: { register(occupant: Occupant): void };
}

export function createLeases({ metadata, gc, namespaces }: LeasesDeps): Leases {
  const leases = metadata.table<Lease>('leases', jsonCodec());
  const holdings = new Holdings();
  const resources: Table<Holding> = metadata.table('lease-resources', jsonCodec(), holdings.changed);

  gc.register(createLeaseCollectable(leases, resources, holdings));
  namespaces.register({
    remaining: () => [],
    clear(transaction, namespace) {
      for (const [key] of resources.entries(namespace)) transaction.delete(resources, namespace, key);
      for (const [id] of leases.entries(namespace)) transaction.delete(leases, namespace, id);
    },
  });

  const mustExist = (namespace: string, id: string): void => {
    if (!leases.has(namespace, id)) throw notFound(`lease "${id}"`);
  };

  return {
    hold(transaction, { namespace, lease }, resource) {
      if (lease === undefined) return false;
      if (!leases.has(namespace, lease)) throw notFound(`lease "${lease}" does not exist`);
      transaction.put(resources, namespace, holdingKey(lease, resource), { lease, ...resource });
      return true;
    },

    release(transaction, { namespace, lease }, resource) {
      if (lease !== undefined) transaction.delete(resources, namespace, holdingKey(lease, resource));
    },

    create(namespace, id, labels) {
      return metadata.update((transaction) => {
        const lease: Lease = { id: id ?? randomId(), created: now(), labels };
        if (leases.has(namespace, lease.id)) throw alreadyExists(`lease "${lease.id}"`);
        transaction.put(leases, namespace, lease.id, lease);
        gc.expiring(expiry(labels));
        return lease;
      });
    },

    async delete(namespace, id, sync, signal) {
      await metadata.update((transaction) => {
        mustExist(namespace, id);
        for (const resource of holdings.of(namespace, id))
          transaction.delete(resources, namespace, holdingKey(id, resource));
        transaction.delete(leases, namespace, id);
        gc.deleted();
      });
      if (sync) await gc.collect(signal);
    },

    list(namespace, filters) {
      const matches = parseFilters(filters);
      return leases
        .list(namespace)
        .map(([, lease]) => lease)
        .filter((lease) => matches((path) => field(lease, path)));
    },

    addResource(namespace, id, resource) {
      return metadata.update((transaction) => {
        mustExist(namespace, id);
        validateResource(resource);
        transaction.put(resources, namespace, holdingKey(id, resource), {
          lease: id,
          type: resource.type,
          id: resource.id,
        });
      });
    },

    deleteResource(namespace, id, resource) {
      return metadata.update((transaction) => {
        mustExist(namespace, id);
        validateResource(resource);
        transaction.delete(resources, namespace, holdingKey(id, resource));
        gc.deleted();
      });
    },

    resources(namespace, id) {
      mustExist(namespace, id);
      // What the daemon itself has put under a lease, such as mounts, no client can name.
      return holdings
        .of(namespace, id)
        .filter(({ type }) => FLAT_TYPES.includes(type) || type.startsWith('snapshots/'))
        .sort((a, b) => rank(a) - rank(b) || order(a.type, b.type) || order(a.id, b.id));
    },
  };
}

/** As containerd's clients make them: nanoseconds and three random bytes. */
function randomId(): string {
  return `${Number(process.hrtime.bigint() % 1_000_000_000n)}-${randomBytes(3).toString('base64url')}`;
}

const FLAT_TYPES = ['content', 'images', 'ingests'];

function validateResource({ type, id }: Resource): void {
  const [kind = '', ...rest] = type.split('/');
  if (FLAT_TYPES.includes(kind)) {
    if (rest.length > 0) throw invalidArgument(`invalid resource type ${type}`);
    const problem = kind === 'content' ? parseDigest(id) : undefined;
    if (typeof problem === 'string') throw invalidArgument(`invalid content resource id ${id}: ${problem}`);
  } else if (kind === 'snapshots') {
    if (rest.length !== 1) throw invalidArgument(`invalid snapshot resource type ${type}`);
  } else {
    throw notImplemented(`resource type ${type} not supported yet`);
  }
  if (id === '') throw invalidArgument(`${type} resource id must not be empty`);
}

function rank(resource: Resource): number {
  const at = FLAT_TYPES.indexOf(resource.type);
  return at < 0 ? FLAT_TYPES.length : at;
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function field(lease: Lease, path: readonly string[]): string | undefined {
  if (path[0] === 'id') return lease.id;
  return path[0] === 'labels' ? mapField(lease.labels, path) : undefined;
}
