// The message types of the wire: encoding and decoding one message,
// and what a service's methods are made of.
import Long from 'long';
import protobuf from 'protobufjs/light.js';
import { descriptors, type Bundle } from './descriptors.ts';

// protobufjs finds Long by itself only where `require` is the real one, so not in a bundle.
protobuf.util.Long = Long;
protobuf.configure();

const roots = new Map<Bundle, protobuf.Root>();

function root(bundle: Bundle): protobuf.Root {
  let found = roots.get(bundle);
  if (found === undefined) {
    found = protobuf.Root.fromJSON(descriptors(bundle));
    roots.set(bundle, found);
  }
  return found;
}

/** Encodes and decodes one message type: field names as in the .proto files, 64-bit integers as decimal strings. */
export interface MessageCodec<T> {
  readonly name: string;
  readonly encode: (message: object) => Buffer;
  /** Throws when the bytes are not such a message. */
  readonly decode: (bytes: Uint8Array) => T;
}

/** The codec of a message by full name, for example `containerd.events.TaskExit`. Undefined when the bundle has none. */
export function findCodec<T>(fullName: string, bundle: Bundle = 'containerd'): MessageCodec<T> | undefined {
  try {
    return codecOf(root(bundle).lookupType(fullName), fullName);
  } catch {
    return undefined;
  }
}

/** As findCodec, for names that are known when the program is written. */
export function codec<T>(fullName: string, bundle: Bundle = 'containerd'): MessageCodec<T> {
  const found = findCodec<T>(fullName, bundle);
  if (found === undefined) throw new Error(`no message ${fullName} in bundle ${bundle}`);
  return found;
}

function codecOf<T>(type: protobuf.Type, name: string): MessageCodec<T> {
  return {
    name,
    encode(message) {
      const bytes = type.encode(type.fromObject(message)).finish();
      return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    },
    decode: (bytes) => type.toObject(type.decode(bytes), { longs: String, enums: Number, defaults: true }) as T,
  };
}

/** One method of a service, as a client needs it. */
export interface MethodShape {
  readonly name: string;
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly request: MessageCodec<object>;
  readonly response: MessageCodec<object>;
}

/** The methods of a service by full name. Throws when the bundle has none. */
export function methodsOf(service: string, bundle: Bundle = 'containerd'): MethodShape[] {
  return root(bundle)
    .lookupService(service)
    .methodsArray.map((method) => {
      method.resolve();
      const { resolvedRequestType: request, resolvedResponseType: response } = method;
      if (request === null || response === null) throw new Error(`${service}.${method.name} is not resolved`);
      return {
        name: method.name,
        path: `/${service}/${method.name}`,
        requestStream: method.requestStream === true,
        responseStream: method.responseStream === true,
        request: codecOf(request, request.fullName.slice(1)),
        response: codecOf(response, response.fullName.slice(1)),
      };
    });
}
