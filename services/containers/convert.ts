// Containers: records to and from the wire.
import { codec } from '../../proto/messages.ts';
import type * as wire from '../../proto/gen/containerd.services.containers.v1.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { instantFromWire, instantToWire } from '../lib/time.ts';
import type { Codec } from '../metadata/api.ts';
import type { Any, Container } from './api.ts';

const EPOCH = { seconds: 0, nanos: 0 };

export function containerToWire(container: Container) {
  const extensions = Object.create(null) as Record<string, Any>;
  for (const [key, extension] of container.extensions) extensions[key] = extension;
  return {
    id: container.id,
    labels: labelsToWire(container.labels),
    image: container.image,
    runtime: { name: container.runtime.name, options: container.runtime.options ?? null },
    spec: container.spec,
    snapshotter: container.snapshotter,
    snapshot_key: container.snapshotKey,
    created_at: instantToWire(container.created),
    updated_at: instantToWire(container.updated),
    extensions,
    sandbox: container.sandbox,
  };
}

/** A container as a client describes it: what the service must see to may be missing. */
export type ContainerSpec = Omit<Container, 'spec' | 'created' | 'updated'> & { readonly spec: Any | undefined };

export function specFromWire(container: wire.Container): ContainerSpec {
  return {
    id: container.id,
    labels: labelsFromWire(container.labels),
    image: container.image,
    runtime: { name: container.runtime?.name ?? '', options: container.runtime?.options ?? undefined },
    spec: container.spec ?? undefined,
    snapshotter: container.snapshotter,
    snapshotKey: container.snapshot_key,
    extensions: new Map(Object.entries(container.extensions)),
    sandbox: container.sandbox,
  };
}

/** The codec of container records. */
export function containerCodec(): Codec<Container> {
  const message = codec<wire.Container>('containerd.services.containers.v1.Container');
  return {
    encode: (container) => message.encode(containerToWire(container)),
    decode(bytes) {
      const read = message.decode(bytes);
      const spec = read.spec ?? { type_url: '', value: Buffer.alloc(0) };
      const created = instantFromWire(read.created_at) ?? EPOCH;
      return { ...specFromWire(read), spec, created, updated: instantFromWire(read.updated_at) ?? created };
    },
  };
}
