import type { Envelope as Wire } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';
import { invalidArgument } from '../lib/errors.ts';
import { instantFromWire, instantToWire } from '../lib/time.ts';
import type { Envelope } from './api.ts';

/** Throws `invalid argument` without a timestamp. */
export function envelopeFromWire(wire: Wire | null): Envelope {
  const timestamp = instantFromWire(wire?.timestamp);
  if (wire === null || timestamp === undefined) throw invalidArgument('timestamp must be set on forwarded event');
  return {
    timestamp,
    namespace: wire.namespace,
    topic: wire.topic,
    event: wire.event ?? { type_url: '', value: new Uint8Array() },
  };
}

export function envelopeToWire({ timestamp, namespace, topic, event }: Envelope): Input<Wire> {
  return {
    timestamp: instantToWire(timestamp),
    namespace,
    topic,
    event: { type_url: event.type_url, value: event.value },
  };
}
