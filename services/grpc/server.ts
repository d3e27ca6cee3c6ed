// The gRPC edge: turns Registrations into a grpc-js server. Every call passes here once, and here
// alone it is logged, measured, and its error turned into a status.
import {
  Server,
  status as Status,
  type MethodDefinition,
  type ServerDuplexStream,
  type ServerOptions,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
  type sendUnaryData,
} from '@grpc/grpc-js';
import { methodsOf } from '../../proto/messages.ts';
import { Failure } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import { createCall } from './context.ts';
import type { Call } from './call.ts';
import type { Registration } from './handlers.ts';
import { codeName, toStatus } from './status.ts';

type Request = object;
type Response = object;
type UnaryHandler = (request: Request, call: Call) => Promise<Response> | Response;
type ServerStreamHandler = (request: Request, call: Call) => AsyncIterable<Response>;
type ClientStreamHandler = (requests: AsyncIterable<Request>, call: Call) => Promise<Response>;
type BidiHandler = (requests: AsyncIterable<Request>, call: Call) => AsyncIterable<Response>;

/** Told of every finished call: method, gRPC code name, milliseconds. */
export interface CallObserver {
  finished(method: string, code: string, milliseconds: number): void;
}

export interface EdgeDeps {
  readonly log: Logger;
  readonly observer: CallObserver;
}

export interface EdgeOptions {
  /** Largest message taken and sent, in bytes. */
  readonly maxReceive: number;
  readonly maxSend: number;
}

/** A server with the given services; a method without a handler answers Unimplemented. */
export function createServer(deps: EdgeDeps, options: EdgeOptions, services: readonly Registration[]): Server {
  const channel: ServerOptions = {
    'grpc.max_receive_message_length': options.maxReceive,
    'grpc.max_send_message_length': options.maxSend,
    // What nobody asks for costs a twelfth of every call.
    'grpc.enable_channelz': 0,
  };
  const server = new Server(channel);
  for (const service of services) {
    const definition = serviceDefinition(service.name);
    server.addService(definition, implement(deps, definition, service));
  }
  return server;
}

function serviceDefinition(service: string): ServiceDefinition {
  const definition: Record<string, MethodDefinition<object, object>> = {};
  for (const { name, request, response, ...shape } of methodsOf(service)) {
    definition[name] = {
      ...shape,
      requestSerialize: request.encode,
      requestDeserialize: request.decode,
      responseSerialize: response.encode,
      responseDeserialize: response.decode,
    };
  }
  return definition;
}

function implement(deps: EdgeDeps, definition: ServiceDefinition, service: Registration): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {};
  for (const [name, method] of Object.entries(definition)) {
    const handler = service.handlers[name];
    if (handler !== undefined) implementation[name] = adapt(deps, method, handler);
  }
  return implementation;
}

function adapt(
  deps: EdgeDeps,
  method: MethodDefinition<Request, Response>,
  handler: unknown,
): UntypedServiceImplementation[string] {
  if (method.requestStream) {
    return method.responseStream
      ? adaptBidi(deps, method.path, handler as BidiHandler)
      : adaptClientStream(deps, method.path, handler as ClientStreamHandler);
  }
  return method.responseStream
    ? adaptServerStream(deps, method.path, handler as ServerStreamHandler)
    : adaptUnary(deps, method.path, handler as UnaryHandler);
}

function adaptUnary(deps: EdgeDeps, path: string, handler: UnaryHandler) {
  return (raw: ServerUnaryCall<Request, Response>, done: sendUnaryData<Response>): void => {
    const end = begin(deps, path, raw);
    const call = createCall(path, raw);
    invoke(() => handler(raw.request, call)).then(
      (response) => {
        end(undefined);
        done(null, response);
      },
      (error: unknown) => done(end(error)),
    );
  };
}

function adaptClientStream(deps: EdgeDeps, path: string, handler: ClientStreamHandler) {
  return (raw: ServerReadableStream<Request, Response>, done: sendUnaryData<Response>): void => {
    const end = begin(deps, path, raw);
    const call = createCall(path, raw);
    invoke(() => handler(received(raw), call)).then(
      (response) => {
        end(undefined);
        done(null, response);
      },
      (error: unknown) => done(end(error)),
    );
  };
}

function adaptServerStream(deps: EdgeDeps, path: string, handler: ServerStreamHandler) {
  return (raw: ServerWritableStream<Request, Response>): void => {
    const end = begin(deps, path, raw);
    const call = createCall(path, raw);
    void finish(raw, end, () => send(raw, handler(raw.request, call)));
  };
}

function adaptBidi(deps: EdgeDeps, path: string, handler: BidiHandler) {
  return (raw: ServerDuplexStream<Request, Response>): void => {
    const end = begin(deps, path, raw);
    const call = createCall(path, raw);
    void finish(raw, end, () => send(raw, handler(received(raw), call)));
  };
}

/** Calls a handler so that a synchronous throw is a rejection too. */
async function invoke<T>(handler: () => Promise<T> | T): Promise<T> {
  return handler();
}

type Readable = ServerReadableStream<Request, Response> | ServerDuplexStream<Request, Response>;

/**
 * What the client sends, until it half-closes. Throws `canceled` when the call is. The stream itself
 * stays open at the end: the answer is still to be sent.
 */
async function* received(raw: Readable): AsyncGenerator<Request> {
  try {
    yield* raw.iterator({ destroyOnReturn: false }) as AsyncIterable<Request>;
  } catch (error) {
    throw raw.cancelled ? new Failure('canceled', 'context canceled', { cause: error }) : error;
  }
}

type Writable = ServerWritableStream<Request, Response> | ServerDuplexStream<Request, Response>;

/**
 * Sends every message, and makes the next one while one is being sent. What a stream buffers by itself are
 * sixteen messages, which for a client that does not read may be as many mebibytes.
 */
async function send(raw: Writable, messages: AsyncIterable<Response>): Promise<void> {
  let sent: Promise<void> = Promise.resolve();
  for await (const message of messages) {
    await sent;
    if (raw.cancelled) return;
    sent = written(raw, message);
  }
}

/** Resolves when the transport has taken the message, or never will. */
function written(raw: Writable, message: Response): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['close', 'cancelled']) raw.off(event, done);
      resolve();
    };
    for (const event of ['close', 'cancelled']) raw.on(event, done);
    raw.write(message, done);
  });
}

async function finish(raw: Writable, end: (error: unknown) => object, work: () => Promise<void>): Promise<void> {
  try {
    await work();
    end(undefined);
    raw.end();
  } catch (error) {
    raw.emit('error', end(error));
  }
}

/** Starts the clock of a call; the function returned logs its end and gives the status to send. */
function begin(deps: EdgeDeps, path: string, raw: { readonly metadata: { get(key: string): unknown[] } }) {
  const started = performance.now();
  return (error: unknown): object => {
    const milliseconds = performance.now() - started;
    const { status, unexpected } =
      error === undefined ? { status: { code: Status.OK }, unexpected: false } : toStatus(error);
    const code = codeName(status.code ?? Status.UNKNOWN);
    deps.observer.finished(path, code, milliseconds);
    if (unexpected) {
      deps.log.error('unclassified error', { method: path, error });
    } else if (deps.log.debugEnabled) {
      deps.log.debug('request', {
        method: path,
        namespace: raw.metadata.get('containerd-namespace')[0] ?? '',
        code,
        ms: Math.round(milliseconds * 1000) / 1000,
        ...(error === undefined ? {} : { error: status.details }),
      });
    }
    return status;
  };
}
