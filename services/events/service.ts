// Events over gRPC, and for shims over ttrpc.
import { codec } from '../../proto/messages.ts';
import { EventsName as TtrpcName, type ForwardRequest } from '../../proto/gen/containerd.services.events.ttrpc.v1.ts';
import { EventsName, type EventsService } from '../../proto/gen/containerd.services.events.v1.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { now } from '../lib/time.ts';
import type { TtrpcMethod } from '../runtime/api.ts';
import type { Envelope, Events } from './api.ts';
import { envelopeFromWire, envelopeToWire } from './convert.ts';

export function createEventsService(events: Events): Registration {
  return registration<EventsService>(EventsName, {
    Publish(request, call) {
      const event = request.event ?? { type_url: '', value: new Uint8Array() };
      events.forward({ timestamp: now(), namespace: call.namespace(), topic: request.topic, event });
      return {};
    },

    Forward(request) {
      events.forward(envelopeFromWire(request.envelope));
      return {};
    },

    async *Subscribe(request, call) {
      const envelopes = events.subscribe(request.filters, call.signal);
      // A client that has seen the headers knows that it misses nothing from now on.
      call.sendHeaders();
      for await (const envelope of envelopes) yield envelopeToWire(envelope);
    },
  });
}

/** The methods that shims call on `<address>.ttrpc`; `seen` is shown what they tell. */
export function createEventsTtrpc(
  events: Events,
  seen: (envelope: Envelope) => void,
): ReadonlyMap<string, TtrpcMethod> {
  const requests = codec<ForwardRequest>('containerd.services.events.ttrpc.v1.ForwardRequest');
  const forward: TtrpcMethod = (payload) => {
    const envelope = envelopeFromWire(requests.decode(payload).envelope);
    events.forward(envelope);
    seen(envelope);
    return new Uint8Array();
  };
  return new Map([[`${TtrpcName}/Forward`, forward]]);
}
