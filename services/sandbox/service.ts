// containerd.services.sandbox.v1.Store: decode, one call, encode.
import { StoreName, type StoreService } from '../../proto/gen/containerd.services.sandbox.v1.ts';
import type { Sandbox as Wire } from '../../proto/gen/containerd.types.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import type { Sandboxes } from './api.ts';
import { sandboxToWire, specFromWire } from './convert.ts';

export function createSandboxStoreService(sandboxes: Sandboxes): Registration {
  return registration<StoreService>(StoreName, {
    async Create({ sandbox }, call) {
      return { sandbox: sandboxToWire(await sandboxes.create(call.namespace(), specFromWire(given(sandbox)))) };
    },
    async Update({ sandbox, fields }, call) {
      return { sandbox: sandboxToWire(await sandboxes.update(call.namespace(), specFromWire(given(sandbox)), fields)) };
    },
    async Delete({ sandbox_id }, call) {
      await sandboxes.delete(call.namespace(), sandbox_id);
      return {};
    },
    List: ({ filters }, call) => ({ list: sandboxes.list(call.namespace(), filters).map(sandboxToWire) }),
    Get: ({ sandbox_id }, call) => ({ sandbox: sandboxToWire(sandboxes.get(call.namespace(), sandbox_id)) }),
  });
}

function given(sandbox: Wire | null): Wire {
  if (sandbox === null) throw invalidArgument('sandbox is required');
  return sandbox;
}
