// `davitd publish`: for shims that publish events by running the daemon's program. The event arrives
// as a google.protobuf.Any on standard input and is handed to the running daemon.
import { buffer } from 'node:stream/consumers';
import { codec } from '../../../proto/messages.ts';
import type { Any } from '../../../proto/gen/google.protobuf.ts';
import { invalidArgument } from '../../lib/errors.ts';
import { instantToWire, now } from '../../lib/time.ts';
import { connectTtrpc } from '../../runtime/ttrpc/client.ts';

const TIMEOUT = 5000;

export async function publish(
  ttrpcAddress: string,
  namespace: string | undefined,
  topic: string | undefined,
): Promise<void> {
  if (!namespace || !topic) throw invalidArgument('publish: --namespace and --topic are required');
  const event = codec<Any>('google.protobuf.Any').decode(await buffer(process.stdin));
  const envelope = { timestamp: instantToWire(now()), namespace, topic, event };
  const client = await connectTtrpc(ttrpcAddress, TIMEOUT);
  try {
    await client.call({
      service: 'containerd.services.events.ttrpc.v1.Events',
      method: 'Forward',
      payload: codec('containerd.services.events.ttrpc.v1.ForwardRequest').encode({ envelope }),
      metadata: [],
      timeoutMs: TIMEOUT,
    });
  } finally {
    client.close();
  }
}
