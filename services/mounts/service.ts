// containerd.services.mounts.v1: decode, one call, encode.
import { MountsName, type MountsService } from '../../proto/gen/containerd.services.mounts.v1.ts';
import type { ActivationInfo } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { Failure } from '../lib/errors.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { mountFromWire, mountToWire } from '../lib/mount.ts';
import { instantToWire } from '../lib/time.ts';
import type { Activation, Activations } from './api.ts';

export function createMountsService(activations: Activations): Registration {
  return registration<MountsService>(MountsName, {
    async Activate({ name, mounts, labels, temporary }, call) {
      const wanted = mounts.map(mountFromWire);
      const scope = { namespace: call.namespace(), lease: call.lease };
      const made = await activations.activate(scope, name, wanted, labelsFromWire(labels), temporary, call.signal);
      return { info: toWire(made) };
    },
    async Deactivate({ name }, call) {
      await activations.deactivate(call.namespace(), name);
      return {};
    },
    Info: ({ name }, call) => ({ info: toWire(activations.info(call.namespace(), name)) }),
    Update() {
      // As containerd has it.
      throw new Failure('not implemented', 'not implemented');
    },
    async *List({ filters }, call) {
      for (const activation of activations.list(call.namespace(), filters)) yield { info: toWire(activation) };
    },
  });
}

function toWire({ name, active, system, labels }: Activation): Input<ActivationInfo> {
  return {
    name,
    active: active.map(({ mount, mountPoint, mountedAt }) => ({
      mount: mountToWire(mount),
      mount_point: mountPoint,
      mounted_at: instantToWire(mountedAt),
    })),
    system: system.map(mountToWire),
    labels: labelsToWire(labels),
  };
}
