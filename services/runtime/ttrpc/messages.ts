// The envelopes of ttrpc calls, as protobuf.
import { codec } from '../../../proto/messages.ts';
import type { Request, Response } from '../../../proto/gen/ttrpc.ts';

export const requests = codec<Request>('ttrpc.Request');
export const responses = codec<Response>('ttrpc.Response');

/** Where a caller's namespace travels. */
export const NAMESPACE_KEY = 'containerd-namespace-ttrpc';
