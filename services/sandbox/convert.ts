import { codec } from '../../proto/messages.ts';
import type { Sandbox as Wire } from '../../proto/gen/containerd.types.ts';
import type { Any } from '../containers/api.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { instantFromWire, instantToWire } from '../lib/time.ts';
import type { Codec } from '../metadata/api.ts';
import type { Sandbox, SandboxSpec } from './api.ts';

const EPOCH = { seconds: 0, nanos: 0 };

export function sandboxToWire(sandbox: Sandbox) {
  const extensions = Object.create(null) as Record<string, Any>;
  for (const [key, extension] of sandbox.extensions) extensions[key] = extension;
  return {
    sandbox_id: sandbox.id,
    runtime: { name: sandbox.runtime.name, options: sandbox.runtime.options ?? null },
    spec: sandbox.spec ?? null,
    labels: labelsToWire(sandbox.labels),
    created_at: instantToWire(sandbox.created),
    updated_at: instantToWire(sandbox.updated),
    extensions,
    sandboxer: sandbox.sandboxer,
  };
}

export function specFromWire(wire: Wire): SandboxSpec {
  return {
    id: wire.sandbox_id,
    runtime: { name: wire.runtime?.name ?? '', options: wire.runtime?.options ?? undefined },
    spec: wire.spec ?? undefined,
    labels: labelsFromWire(wire.labels),
    extensions: new Map(Object.entries(wire.extensions)),
    sandboxer: wire.sandboxer,
  };
}

/** The codec of sandbox records. */
export function sandboxCodec(): Codec<Sandbox> {
  const message = codec<Wire>('containerd.types.Sandbox');
  return {
    encode: (sandbox) => message.encode(sandboxToWire(sandbox)),
    decode(bytes) {
      const wire = message.decode(bytes);
      const created = instantFromWire(wire.created_at) ?? EPOCH;
      return { ...specFromWire(wire), created, updated: instantFromWire(wire.updated_at) ?? created };
    },
  };
}
