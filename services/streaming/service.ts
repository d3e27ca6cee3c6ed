// containerd.services.streaming.v1: the first message names the stream, the answer says that it is known.
import { codec } from '../../proto/messages.ts';
import {
  StreamingName,
  type StreamInit,
  type StreamingService,
} from '../../proto/gen/containerd.services.streaming.v1.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { invalidArgument } from '../lib/errors.ts';
import { Channel, type StreamRegistry } from './streams.ts';

const init = codec<StreamInit>('containerd.services.streaming.v1.StreamInit');
const READY: Any = { type_url: 'google.protobuf.Empty', value: Buffer.alloc(0) };

export function createStreamingService(streams: StreamRegistry): Registration {
  return registration<StreamingService>(StreamingName, {
    async *Stream(requests, call) {
      const incoming = requests[Symbol.asyncIterator]();
      const first = await incoming.next();
      if (first.done === true) return;
      const channel = new Channel(incoming);
      const unregister = streams.register(call.namespace(), idOf(first.value), channel);
      const gone = (): void => channel.abandon();
      call.signal.addEventListener('abort', gone, { once: true });
      try {
        yield READY;
        yield* channel.messages();
      } finally {
        call.signal.removeEventListener('abort', gone);
        unregister();
        channel.abandon();
      }
    },
  });
}

function idOf({ type_url, value }: Any): string {
  if (type_url !== init.name) throw invalidArgument(`first message of a stream is ${type_url}, not ${init.name}`);
  try {
    return init.decode(value).id;
  } catch (error) {
    throw invalidArgument('first message of a stream: ill-formed', { cause: error });
  }
}
