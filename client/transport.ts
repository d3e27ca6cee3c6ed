// Calls over grpc-js: the only file that knows it.
import {
  Client as GrpcClient,
  Metadata,
  credentials,
  type CallOptions as GrpcCallOptions,
  type ChannelCredentials,
  type ServiceError,
} from '@grpc/grpc-js';
import type { MethodShape } from '../proto/messages.ts';
import type { Input } from '../proto/rpc.ts';
import { dialTarget } from './address.ts';
import type { BidiCall, CallOptions, ClientStreamCall } from './calls.ts';
import { ClientError, kindOfCode } from './errors.ts';
import { incoming } from './incoming.ts';

/** Replies may be as large as containerd lets its operator configure. */
const CHANNEL_OPTIONS = {
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_channelz': 0,
};

export interface Transport {
  unary(method: MethodShape, request: object, options: CallOptions): Promise<object>;
  serverStream(method: MethodShape, request: object, options: CallOptions): AsyncIterable<object>;
  clientStream(method: MethodShape, options: CallOptions): ClientStreamCall<object, object>;
  bidi(method: MethodShape, options: CallOptions): BidiCall<object, object>;
  /** Resolves when connected. Rejects with `deadline exceeded` after `timeout` milliseconds. */
  ready(timeout: number): Promise<void>;
  close(): void;
}

export function createTransport(address: string, tls?: ChannelCredentials): Transport {
  const grpc = new GrpcClient(dialTarget(address), tls ?? credentials.createInsecure(), CHANNEL_OPTIONS);
  return {
    unary: (method, request, options) => unary(grpc, method, request, options),
    serverStream: (method, request, options) => serverStream(grpc, method, request, options),
    clientStream: (method, options) => clientStream(grpc, method, options),
    bidi: (method, options) => bidi(grpc, method, options),
    ready: (timeout) =>
      new Promise((resolve, reject) => {
        grpc.waitForReady(Date.now() + timeout, (error) => {
          if (error === undefined) resolve();
          else reject(new ClientError('deadline exceeded', `connect to "${address}": no answer within ${timeout} ms`));
        });
      }),
    close: () => grpc.close(),
  };
}

function unary(grpc: GrpcClient, method: MethodShape, request: object, options: CallOptions): Promise<object> {
  return new Promise((resolve, reject) => {
    const done = (error: ServiceError | null, response?: object): void => {
      release();
      if (error !== null) reject(toError(error, options));
      else if (response !== undefined) resolve(response);
    };
    const { encode } = method.request;
    const call = grpc.makeUnaryRequest(
      method.path,
      encode,
      method.response.decode,
      request,
      headers(options),
      limits(options),
      done,
    );
    const release = onAbort(options.signal, () => call.cancel());
  });
}

function serverStream(
  grpc: GrpcClient,
  method: MethodShape,
  request: object,
  options: CallOptions,
): AsyncIterable<object> {
  const { encode } = method.request;
  const call = grpc.makeServerStreamRequest(
    method.path,
    encode,
    method.response.decode,
    request,
    headers(options),
    limits(options),
  );
  const release = onAbort(options.signal, () => call.cancel());
  call.on('end', release);
  return incoming(call, (error) => toError(error, options));
}

function bidi(grpc: GrpcClient, method: MethodShape, options: CallOptions): BidiCall<object, object> {
  const call = grpc.makeBidiStreamRequest(
    method.path,
    method.request.encode,
    method.response.decode,
    headers(options),
    limits(options),
  );
  const release = onAbort(options.signal, () => call.cancel());
  call.on('end', release);
  const messages = incoming<object>(call, (error) => toError(error, options));
  return {
    async send(message) {
      messages.check();
      if (messages.over) throw new ClientError('unavailable', `${method.path}: the server has ended the call`);
      if (!call.write(message)) await first(call, ['drain', 'end', 'error']);
      messages.check();
    },
    receive: () => messages.next(),
    close: () => void call.end(),
    cancel: () => call.cancel(),
    [Symbol.asyncIterator]: () => messages[Symbol.asyncIterator](),
  };
}

function clientStream(grpc: GrpcClient, method: MethodShape, options: CallOptions): ClientStreamCall<object, object> {
  let failure: Error | undefined;
  let settle: (() => void) | undefined;
  let answer: object | undefined;
  const done = (error: ServiceError | null, response?: object): void => {
    release();
    if (error !== null) failure = toError(error, options);
    else answer = response;
    settle?.();
    call.emit('drain');
  };
  const { encode } = method.request;
  const call = grpc.makeClientStreamRequest(
    method.path,
    encode,
    method.response.decode,
    headers(options),
    limits(options),
    done,
  );
  const release = onAbort(options.signal, () => call.cancel());
  return {
    async send(message: Input<object>) {
      if (failure === undefined && !call.write(message)) await first(call, ['drain']);
      if (failure !== undefined) throw failure;
    },
    async finish() {
      call.end();
      if (answer === undefined && failure === undefined) await new Promise<void>((resolve) => (settle = resolve));
      if (failure !== undefined) throw failure;
      return answer ?? {};
    },
    cancel: () => call.cancel(),
  };
}

function first(emitter: NodeJS.EventEmitter, events: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of events) emitter.off(event, done);
      resolve();
    };
    for (const event of events) emitter.on(event, done);
  });
}

function headers(options: CallOptions): Metadata {
  const metadata = new Metadata();
  if (options.namespace) metadata.set('containerd-namespace', options.namespace);
  if (options.lease) metadata.set('containerd-lease', options.lease);
  return metadata;
}

function limits(options: CallOptions): GrpcCallOptions {
  return options.timeout ? { deadline: Date.now() + options.timeout } : {};
}

/** Calls `action` once when aborted, at once if it is already; returns what stops listening. */
function onAbort(signal: AbortSignal | undefined, action: () => void): () => void {
  if (signal === undefined) return () => undefined;
  if (signal.aborted) {
    action();
    return () => undefined;
  }
  signal.addEventListener('abort', action, { once: true });
  return () => signal.removeEventListener('abort', action);
}

function toError(error: unknown, options: CallOptions): ClientError {
  if (options.signal?.aborted) return abortError(options.signal);
  if (!(error instanceof Error && 'code' in error && typeof error.code === 'number')) {
    return new ClientError('unknown', error instanceof Error ? error.message : String(error), { cause: error });
  }
  const details = 'details' in error && typeof error.details === 'string' ? error.details : error.message;
  return new ClientError(kindOfCode(error.code), connectFailure(details) ?? details, { cause: error });
}

/** What grpc-js says when it cannot connect, without its notes on itself. */
function connectFailure(details: string): string | undefined {
  const cause = /^No connection established\. Last error: (?:Error: )?(.*?)\.? Resolution note:/.exec(details)?.[1];
  return cause === undefined ? undefined : `cannot reach the daemon: ${cause}`;
}

function abortError(signal: AbortSignal): ClientError {
  const reason: unknown = signal.reason;
  const late = reason instanceof Error && reason.name === 'TimeoutError';
  return new ClientError(late ? 'deadline exceeded' : 'canceled', late ? 'deadline exceeded' : 'canceled', {
    cause: reason,
  });
}
