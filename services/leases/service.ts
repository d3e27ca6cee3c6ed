// containerd.services.leases.v1: decode, one call, encode.
import { LeasesName, type LeasesService, type Resource } from '../../proto/gen/containerd.services.leases.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { instantToWire } from '../lib/time.ts';
import type { Lease, Leases } from './api.ts';

export function createLeasesService(leases: Leases): Registration {
  return registration<LeasesService>(LeasesName, {
    async Create({ id, labels }, call) {
      const lease = await leases.create(call.namespace(), id === '' ? undefined : id, labelsFromWire(labels));
      return { lease: toWire(lease) };
    },
    async Delete({ id, sync }, call) {
      await leases.delete(call.namespace(), id, sync, call.signal);
      return {};
    },
    List: ({ filters }, call) => ({ leases: leases.list(call.namespace(), filters).map(toWire) }),
    async AddResource({ id, resource }, call) {
      await leases.addResource(call.namespace(), id, given(resource));
      return {};
    },
    async DeleteResource({ id, resource }, call) {
      await leases.deleteResource(call.namespace(), id, given(resource));
      return {};
    },
    ListResources: ({ id }, call) => ({ resources: leases.resources(call.namespace(), id) }),
  });
}

function given(resource: Resource | null): Resource {
  if (resource === null) throw invalidArgument('resource is required');
  return resource;
}

function toWire(lease: Lease) {
  return { id: lease.id, created_at: instantToWire(lease.created), labels: labelsToWire(lease.labels) };
}
