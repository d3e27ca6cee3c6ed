// Turns the descriptor bundles under gen/ into what @grpc/grpc-js and the ttrpc code use.
import { readFileSync } from 'node:fs';
import { fromJSON, type Options, type PackageDefinition } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

export type Bundle = 'containerd' | 'cri' | 'nri';

/** How messages look in TypeScript; what scripts/gen.mjs writes types for. */
const OPTIONS: Options = { keepCase: true, longs: String, enums: Number, defaults: true, oneofs: false };

const bundles = new Map<Bundle, protobuf.INamespace>();
const roots = new Map<Bundle, protobuf.Root>();
const definitions = new Map<Bundle, PackageDefinition>();

function descriptors(bundle: Bundle): protobuf.INamespace {
  let json = bundles.get(bundle);
  if (json === undefined) {
    const file = new URL(`./gen/${bundle}.json`, import.meta.url);
    json = JSON.parse(readFileSync(file, 'utf8')) as protobuf.INamespace;
    bundles.set(bundle, json);
  }
  return json;
}

/** Service and message definitions of a bundle, by full name, for grpc-js. */
export function packageDefinition(bundle: Bundle): PackageDefinition {
  let definition = definitions.get(bundle);
  if (definition === undefined) {
    definition = fromJSON(descriptors(bundle), OPTIONS);
    definitions.set(bundle, definition);
  }
  return definition;
}

/** Encodes and decodes one message type, with the conventions of `OPTIONS`. */
export interface MessageCodec<T> {
  readonly name: string;
  encode(message: object): Buffer;
  /** Throws when the bytes are not such a message. */
  decode(bytes: Uint8Array): T;
}

/** The codec of a message by full name, for example `containerd.events.TaskExit`. Undefined when the bundle has none. */
export function findCodec<T>(fullName: string, bundle: Bundle = 'containerd'): MessageCodec<T> | undefined {
  let root = roots.get(bundle);
  if (root === undefined) {
    root = protobuf.Root.fromJSON(descriptors(bundle));
    roots.set(bundle, root);
  }
  let type: protobuf.Type;
  try {
    type = root.lookupType(fullName);
  } catch {
    return undefined;
  }
  return {
    name: fullName,
    encode: (message) => Buffer.from(type.encode(type.fromObject(message)).finish()),
    decode: (bytes) => type.toObject(type.decode(bytes), { longs: String, enums: Number, defaults: true }) as T,
  };
}

/** As findCodec, for names that are known when the program is written. */
export function codec<T>(fullName: string, bundle: Bundle = 'containerd'): MessageCodec<T> {
  const found = findCodec<T>(fullName, bundle);
  if (found === undefined) throw new Error(`no message ${fullName} in bundle ${bundle}`);
  return found;
}
