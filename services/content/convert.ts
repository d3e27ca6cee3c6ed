// Content: records to and from the wire.
import type * as wire from '../../proto/gen/containerd.services.content.v1.ts';
import { labelsFromWire, labelsToWire } from '../lib/labels.ts';
import { instantFromWire, instantToWire } from '../lib/time.ts';
import type { Info, IngestStatus } from './api.ts';

const EPOCH = { seconds: 0, nanos: 0 };

export function infoToWire(info: Info) {
  return {
    digest: info.digest,
    size: String(info.size),
    created_at: instantToWire(info.created),
    updated_at: instantToWire(info.updated),
    labels: labelsToWire(info.labels),
  };
}

export function infoFromWire(info: wire.Info): Info {
  const created = instantFromWire(info.created_at) ?? EPOCH;
  return {
    digest: info.digest,
    size: Number(info.size),
    created,
    updated: instantFromWire(info.updated_at) ?? created,
    labels: labelsFromWire(info.labels),
  };
}

export function statusToWire(status: IngestStatus) {
  return {
    started_at: instantToWire(status.started),
    updated_at: instantToWire(status.updated),
    ref: status.ref,
    offset: String(status.offset),
    total: String(status.total),
    expected: status.expected,
  };
}
