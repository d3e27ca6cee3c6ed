// containerd.services.diff.v1.Diff.
import { DiffName, type DiffService } from '../../proto/gen/containerd.services.diff.v1.ts';
import type { Descriptor } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { labelsFromWire } from '../lib/labels.ts';
import { mountFromWire } from '../lib/mount.ts';
import { instantFromWire } from '../lib/time.ts';
import type { Diffs, Layer } from './api.ts';

export function createDiffService(diffs: Diffs): Registration {
  return registration<DiffService>(DiffName, {
    async Apply(request, call) {
      if (request.diff === null) throw invalidArgument('diff is required');
      const { media_type: mediaType, digest, size } = request.diff;
      const layer = { mediaType, digest, size: Number(size) };
      const mounts = request.mounts.map(mountFromWire);
      const applied = await diffs.apply(call.namespace(), layer, mounts, { sync: request.sync_fs }, call.signal);
      return { applied: toWire(applied) };
    },
    async Diff(request, call) {
      const scope = { namespace: call.namespace(), lease: call.lease };
      const options = {
        mediaType: request.media_type,
        ref: request.ref,
        labels: labelsFromWire(request.labels),
        sourceDateEpoch: instantFromWire(request.source_date_epoch),
      };
      const [left, right] = [request.left.map(mountFromWire), request.right.map(mountFromWire)];
      return { diff: toWire(await diffs.compare(scope, left, right, options, call.signal)) };
    },
  });
}

function toWire(layer: Layer): Input<Descriptor> {
  return { media_type: layer.mediaType, digest: layer.digest, size: String(layer.size) };
}
