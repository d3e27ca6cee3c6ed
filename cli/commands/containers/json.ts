// A container as `containers info` shows it.
import type { Container } from '../../../proto/gen/containerd.services.containers.v1.ts';
import type { Any } from '../../../proto/gen/google.protobuf.ts';
import { parseJson } from '../../../spec/json.ts';
import { rfc3339Nano } from '../../output/units.ts';

/** With the names that ctr uses. */
export function containerJson(container: Container): object {
  const extensions = Object.entries(container.extensions).map(([key, value]) => [key, anyJson(value)]);
  return {
    ID: container.id,
    Labels: Object.fromEntries(Object.entries(container.labels).toSorted()),
    Image: container.image,
    Runtime: {
      Name: container.runtime?.name ?? '',
      Options: container.runtime?.options ? anyJson(container.runtime.options) : null,
    },
    SnapshotKey: container.snapshot_key,
    Snapshotter: container.snapshotter,
    CreatedAt: rfc3339Nano(container.created_at),
    UpdatedAt: rfc3339Nano(container.updated_at),
    Extensions: extensions.length > 0 ? Object.fromEntries(extensions) : null,
    SandboxID: container.sandbox || undefined,
    Spec: specOf(container),
  };
}

export function specOf(container: Container): unknown {
  if (container.spec === null || container.spec.value.length === 0) return null;
  try {
    return parseJson(container.spec.value.toString('utf8'));
  } catch {
    return anyJson(container.spec);
  }
}

function anyJson({ type_url, value }: Any): object {
  return { type_url, value: value.length > 0 ? value.toString('base64') : undefined };
}
