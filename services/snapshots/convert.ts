// Snapshots and their wire form.
import { Kind as WireKind, type Info as WireInfo } from '../../proto/gen/containerd.services.snapshots.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { labelsToWire } from '../lib/labels.ts';
import { instantToWire } from '../lib/time.ts';
import type { Info, Kind } from './api.ts';

const KINDS: Readonly<Record<Kind, WireKind>> = {
  view: WireKind.VIEW,
  active: WireKind.ACTIVE,
  committed: WireKind.COMMITTED,
};

export function infoToWire(info: Info): Input<WireInfo> {
  return {
    name: info.name,
    parent: info.parent,
    kind: KINDS[info.kind],
    created_at: instantToWire(info.created),
    updated_at: instantToWire(info.updated),
    labels: labelsToWire(info.labels),
  };
}
