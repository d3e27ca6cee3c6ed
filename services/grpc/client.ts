// Calls to other programs that speak containerd's services: proxy plugins.
//
// Nobody waits for one that is away or silent: a call fails at once when there is no connection, and at its deadline
// otherwise; the connection is made again by the first call after it is back.
import { Readable } from 'node:stream';
import { Client, credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';
import { methodNames, methodOf, type MethodShape } from '../../proto/messages.ts';
import type { Input, ServerStream, Unary } from '../../proto/rpc.ts';
import { failureOf } from '../lib/codes.ts';
import { Failure } from '../lib/errors.ts';

export interface RemoteOptions {
  readonly namespace: string;
  readonly signal?: AbortSignal;
}

/** A service's calls; one that streams its answer gives all messages at the end. */
export type Remote<Service> = {
  readonly [Method in keyof Service]: Service[Method] extends Unary<infer Request, infer Response>
    ? (request: Input<Request>, options: RemoteOptions) => Promise<Response>
    : Service[Method] extends ServerStream<infer Request, infer Response>
      ? (request: Input<Request>, options: RemoteOptions) => Promise<Response[]>
      : never;
};

export interface Connection {
  service<Service>(name: string): Remote<Service>;
  close(): void;
}

export interface ConnectionOptions {
  /** A path, or what gRPC takes. */
  readonly address: string;
  /** Begins what its errors say: `proxy plugin "x" at /run/x.sock`. */
  readonly what: string;
  /** What to do when it is not there. */
  readonly remedy: string;
  /** How long a call may take, in milliseconds. */
  readonly timeout: number;
}

const CHANNEL = {
  'grpc.max_receive_message_length': 64 * 1024 * 1024,
  'grpc.max_send_message_length': -1,
  'grpc.enable_channelz': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.min_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1000,
};

/** Connects with the first call. */
export function connectTo(options: ConnectionOptions): Connection {
  const { address } = options;
  const target = address.startsWith('/') ? `unix:${address}` : address.replace(/^unix:\/\//, 'unix:');
  const grpc = new Client(target, credentials.createInsecure(), CHANNEL);
  return {
    service<Service>(name: string) {
      const methods: Record<string, unknown> = {};
      for (const each of methodNames(name)) {
        const method = methodOf(name, each);
        if (method.requestStream) continue;
        methods[each] = (request: object, call: RemoteOptions) => invoke(grpc, method, request, call, options);
      }
      return methods as Remote<Service>;
    },
    close: () => grpc.close(),
  };
}

function invoke(
  grpc: Client,
  method: MethodShape,
  request: object,
  { namespace, signal }: RemoteOptions,
  options: ConnectionOptions,
): Promise<object> {
  const metadata = new Metadata();
  metadata.set('containerd-namespace', namespace);
  const limits = { deadline: Date.now() + options.timeout };
  const { path } = method;
  const { encode } = method.request;
  const { decode } = method.response;
  return new Promise<object>((resolve, reject) => {
    signal?.throwIfAborted();
    const messages: object[] = [];
    const call = method.responseStream
      ? grpc.makeServerStreamRequest(path, encode, decode, request, metadata, limits)
      : grpc.makeUnaryRequest(path, encode, decode, request, metadata, limits, (error, response) =>
          settle(error, response ?? {}),
        );
    const cancel = (): void => call.cancel();
    const settle = (error: ServiceError | null, response: object): void => {
      signal?.removeEventListener('abort', cancel);
      if (error === null) resolve(response);
      else reject(signal?.aborted === true ? (signal.reason as Error) : failure(error, path, options));
    };
    if (call instanceof Readable) {
      call.on('data', (message: object) => messages.push(message));
      call.on('error', (error: ServiceError) => settle(error, messages));
      call.on('end', () => settle(null, messages));
    }
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** What the other side says is handed on; what went wrong on the way names it, and what to do. */
function failure(error: ServiceError, path: string, { what, remedy, timeout }: ConnectionOptions): Failure {
  const { code, details } = error;
  const method = path.slice(path.lastIndexOf('/') + 1);
  if (code === status.DEADLINE_EXCEEDED) {
    return new Failure(
      'deadline exceeded',
      `${what} did not answer ${method} within ${timeout} ms; ${remedy}: deadline exceeded`,
      { cause: error },
    );
  }
  if (code === status.UNAVAILABLE) {
    const cause = /Last error: (?:Error: )?(.*?)\.? Resolution note:/.exec(details)?.[1] ?? details;
    return new Failure('unavailable', `${what} cannot be reached (${cause}); ${remedy}: unavailable`, { cause: error });
  }
  if (code === status.UNIMPLEMENTED && /unknown (service|method)|does not implement/.test(details)) {
    return new Failure('not implemented', `${what} does not have ${path.slice(1)}: not implemented`, { cause: error });
  }
  const { kind, message } = failureOf(code, details);
  return new Failure(kind, `${what}: ${message}`, { cause: error });
}
