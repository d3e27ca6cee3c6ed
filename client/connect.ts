// connect(): a typed client of containerd's API.
//
//   using client = connect('/run/davit/davit.sock', { namespace: 'default' });
//   const { image } = await client.images.Get({ name: 'example.com/app:1' });
//   for await (const { info } of client.content.List({})) ...
import type { ChannelCredentials } from '@grpc/grpc-js';
import { methodNames, methodOf, type MethodShape } from '../proto/messages.ts';
import type { CallOptions } from './calls.ts';
import { SERVICE_NAMES, type Services } from './services.ts';
import { createTransport, type Transport } from './transport.ts';

export interface ConnectOptions extends CallOptions {
  /** TLS for TCP addresses. */
  readonly credentials?: ChannelCredentials;
}

export interface Client extends Services {
  readonly address: string;
  /** The namespace that calls carry; empty when none was given. */
  readonly namespace: string;
  /** The same connection with other headers, deadline or signal. */
  with(options: CallOptions): Client;
  /** Resolves when the daemon has been reached. Rejects after `timeout` milliseconds. */
  ready(timeout: number): Promise<void>;
  /** Ends the connection, for all clients made by `with` too. */
  close(): void;
  [Symbol.dispose](): void;
}

/** A client of the daemon at `address`. It connects with the first call. */
export function connect(address: string, options: ConnectOptions = {}): Client {
  return createClient(address, createTransport(address, options.credentials), options);
}

function createClient(address: string, transport: Transport, defaults: CallOptions): Client {
  const services = {} as Services;
  for (const [key, name] of Object.entries(SERVICE_NAMES))
    defineLazily(services, key, () => bind(transport, name, defaults));
  return Object.assign(services, {
    address,
    namespace: defaults.namespace ?? '',
    with: (options: CallOptions) => createClient(address, transport, { ...defaults, ...options }),
    ready: (timeout: number) => transport.ready(timeout),
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
  }) as Client;
}

/** Most programs use few services: each is bound at its first use. */
function defineLazily(target: object, key: string, make: () => object): void {
  let made: object | undefined;
  Object.defineProperty(target, key, { enumerable: true, get: () => (made ??= make()) });
}

/** Each method is looked at when it is called first. */
function bind(transport: Transport, service: string, defaults: CallOptions): object {
  const client = {};
  for (const name of methodNames(service))
    defineLazily(client, name, () => bindMethod(transport, methodOf(service, name), defaults));
  return client;
}

function bindMethod(transport: Transport, method: MethodShape, defaults: CallOptions): object {
  const merged = (options: CallOptions | undefined): CallOptions => (options ? { ...defaults, ...options } : defaults);
  if (method.requestStream) {
    return method.responseStream
      ? (options?: CallOptions) => transport.bidi(method, merged(options))
      : (options?: CallOptions) => transport.clientStream(method, merged(options));
  }
  return method.responseStream
    ? (request: object, options?: CallOptions) => transport.serverStream(method, request, merged(options))
    : (request: object, options?: CallOptions) => transport.unary(method, request, merged(options));
}
