// containerd.services.snapshots.v1.Snapshots.
import { SnapshotsName, type SnapshotsService } from '../../proto/gen/containerd.services.snapshots.v1.ts';
import type { Call } from '../grpc/call.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { labelsFromWire } from '../lib/labels.ts';
import { mountToWire } from '../lib/mount.ts';
import type { Scope } from '../leases/api.ts';
import type { Snapshots } from './api.ts';
import { infoToWire } from './convert.ts';

/** Infos in one message of List. */
const BATCH = 100;

/** `scope`: in whose name a call works. */
export function createSnapshotsService(
  snapshots: Pick<Snapshots, 'get'>,
  scope: (call: Call) => Scope = scopeOf,
): Registration {
  return registration<SnapshotsService>(SnapshotsName, {
    async Prepare(request, call) {
      const snapshotter = snapshots.get(request.snapshotter);
      const mounts = await snapshotter.prepare(
        scope(call),
        request.key,
        request.parent,
        labelsFromWire(request.labels),
      );
      return { mounts: mounts.map(mountToWire) };
    },
    async View(request, call) {
      const snapshotter = snapshots.get(request.snapshotter);
      const mounts = await snapshotter.view(scope(call), request.key, request.parent, labelsFromWire(request.labels));
      return { mounts: mounts.map(mountToWire) };
    },
    async Mounts(request, call) {
      const mounts = await snapshots.get(request.snapshotter).mounts(scope(call).namespace, request.key);
      return { mounts: mounts.map(mountToWire) };
    },
    async Commit(request, call) {
      const { name, key, parent } = request;
      await snapshots.get(request.snapshotter).commit(scope(call), name, key, parent, labelsFromWire(request.labels));
      return {};
    },
    async Remove(request, call) {
      await snapshots.get(request.snapshotter).remove(scope(call), request.key);
      return {};
    },
    Stat(request, call) {
      return { info: infoToWire(snapshots.get(request.snapshotter).stat(scope(call).namespace, request.key)) };
    },
    async Update(request, call) {
      const snapshotter = snapshots.get(request.snapshotter);
      if (request.info === null) throw invalidArgument('snapshot info is required');
      const { name, labels } = request.info;
      const info = await snapshotter.update(
        scope(call).namespace,
        name,
        labelsFromWire(labels),
        request.update_mask?.paths ?? [],
      );
      return { info: infoToWire(info) };
    },
    async *List(request, call) {
      const infos = snapshots.get(request.snapshotter).list(scope(call).namespace, request.filters);
      for (let from = 0; from < infos.length; from += BATCH) {
        yield { info: infos.slice(from, from + BATCH).map(infoToWire) };
      }
    },
    async Usage(request, call) {
      const usage = await snapshots.get(request.snapshotter).usage(scope(call).namespace, request.key);
      return { size: String(usage.size), inodes: String(usage.inodes) };
    },
    async Cleanup(request) {
      await snapshots.get(request.snapshotter).cleanup();
      return {};
    },
  });
}

function scopeOf(call: Call): Scope {
  return { namespace: call.namespace(), lease: call.lease };
}
