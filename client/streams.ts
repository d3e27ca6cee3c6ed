// Streams: message channels beside a call, named in it, by which the daemon reports and asks back.
import { randomUUID } from 'node:crypto';
import type { Any } from '../proto/gen/google.protobuf.ts';
import { packMessage } from './any.ts';
import type { BidiCall } from './calls.ts';
import type { Client } from './connect.ts';
import { ClientError } from './errors.ts';

export interface Stream {
  readonly id: string;
  readonly call: BidiCall<Any, Any>;
}

/** A new stream that the daemon knows by its id. */
export async function openStream(client: Client, purpose: string): Promise<Stream> {
  const id = `${purpose}-${randomUUID()}`;
  const call = client.streaming.Stream();
  await call.send(packMessage('containerd.services.streaming.v1.StreamInit', { id }));
  if ((await call.receive()) === undefined) throw new ClientError('unavailable', `stream "${id}": ended by the daemon`);
  return { id, call };
}
