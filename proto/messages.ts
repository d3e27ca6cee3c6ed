// The message types of the wire: encoding and decoding one message, and what a service's methods are
// made of. Read from the descriptors, for those types only that are used, and interpreted: a program
// that generates code for them starts later than containerd does, and a message takes microseconds
// either way. The test beside compares every type of the wire with protobufjs.
import { ByteReader, ByteWriter } from './bytes.ts';
import { descriptors, type Bundle } from './descriptors.ts';
import { isScalar, MessageType, type Field, type Message } from './fields.ts';

interface FieldJson {
  readonly type: string;
  readonly id: number;
  readonly rule?: string;
  readonly keyType?: string;
}

interface ScopeJson {
  readonly nested?: Readonly<Record<string, ScopeJson>>;
  readonly fields?: Readonly<Record<string, FieldJson>>;
  readonly oneofs?: Readonly<Record<string, { readonly oneof: readonly string[] }>>;
  readonly values?: Readonly<Record<string, number>>;
  readonly methods?: Readonly<Record<string, MethodJson>>;
}

interface MethodJson {
  readonly requestType: string;
  readonly responseType: string;
  readonly requestStream?: boolean;
  readonly responseStream?: boolean;
}

/** Encodes and decodes one message type: field names as in the .proto files, 64-bit integers as decimal strings. */
export interface MessageCodec<T> {
  readonly name: string;
  readonly encode: (message: object) => Buffer;
  /** Throws when the bytes are not such a message. */
  readonly decode: (bytes: Uint8Array) => T;
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

const types = new Map<string, MessageType>();
const scopes = new Map<string, ScopeJson>();

/** The codec of a message by full name, for example `containerd.events.TaskExit`. Undefined when the bundle has none. */
export function findCodec<T>(name: string, bundle: Bundle = 'containerd'): MessageCodec<T> | undefined {
  if (lookup(bundle, name)?.fields === undefined) return undefined;
  let known: MessageType | undefined;
  const type = (): MessageType => (known ??= typeOf(bundle, name));
  return {
    name,
    encode(message) {
      const writer = new ByteWriter();
      type().encode(message as Message, writer);
      return writer.finish();
    },
    decode: (bytes) => type().decode(new ByteReader(bytes), bytes.length, 0) as T,
  };
}

/** As findCodec, for names that are known when the program is written. */
export function codec<T>(name: string, bundle: Bundle = 'containerd'): MessageCodec<T> {
  const found = findCodec<T>(name, bundle);
  if (found === undefined) throw new Error(`no message ${name} in bundle ${bundle}`);
  return found;
}

/** The names of a service's methods. Throws when the bundle has no such service. */
export function methodNames(service: string, bundle: Bundle = 'containerd'): string[] {
  return Object.keys(serviceOf(service, bundle));
}

export function methodOf(service: string, name: string, bundle: Bundle = 'containerd'): MethodShape {
  const method = serviceOf(service, bundle)[name];
  if (method === undefined) throw new Error(`no method ${name} in ${service}`);
  return {
    name,
    path: `/${service}/${name}`,
    requestStream: method.requestStream === true,
    responseStream: method.responseStream === true,
    request: codec<object>(resolveName(bundle, service, method.requestType), bundle),
    response: codec<object>(resolveName(bundle, service, method.responseType), bundle),
  };
}

/** The methods of a service by full name. Throws when the bundle has none. */
export function methodsOf(service: string, bundle: Bundle = 'containerd'): MethodShape[] {
  return methodNames(service, bundle).map((name) => methodOf(service, name, bundle));
}

function serviceOf(service: string, bundle: Bundle): Readonly<Record<string, MethodJson>> {
  const methods = lookup(bundle, service)?.methods;
  if (methods === undefined) throw new Error(`no service ${service} in bundle ${bundle}`);
  return methods;
}

function lookup(bundle: Bundle, fullName: string): ScopeJson | undefined {
  const key = `${bundle} ${fullName}`;
  let scope = scopes.get(key);
  if (scope !== undefined) return scope;
  scope = descriptors(bundle);
  for (const part of fullName.split('.')) scope = scope?.nested?.[part];
  // Clients may ask for any name.
  if (scope !== undefined) scopes.set(key, scope);
  return scope;
}

/** A name as a .proto file uses it inside `scope`: the innermost that fits. */
function resolveName(bundle: Bundle, scope: string, name: string): string {
  if (name.startsWith('.')) return name.slice(1);
  const parts = scope.split('.');
  for (let length = parts.length; length > 0; length--) {
    const candidate = `${parts.slice(0, length).join('.')}.${name}`;
    if (lookup(bundle, candidate) !== undefined) return candidate;
  }
  return name;
}

function typeOf(bundle: Bundle, name: string): MessageType {
  const key = `${bundle} ${name}`;
  let type = types.get(key);
  if (type === undefined) {
    const json = lookup(bundle, name);
    if (json?.fields === undefined) throw new Error(`no message ${name} in bundle ${bundle}`);
    const chosen = new Set(Object.values(json.oneofs ?? {}).flatMap(({ oneof }) => oneof));
    const fields = Object.entries(json.fields).map(([field, each]) =>
      describe(bundle, name, field, each, chosen.has(field)),
    );
    type = new MessageType(name, fields);
    types.set(key, type);
  }
  return type;
}

function describe(bundle: Bundle, scope: string, name: string, json: FieldJson, optional: boolean): Field {
  const shape = json.keyType === undefined ? (json.rule === 'repeated' ? 'repeated' : 'single') : 'map';
  const base = { name, id: json.id, shape, optional } as const;
  if (isScalar(json.type)) return { ...base, scalar: json.type, message: undefined };
  const target = resolveName(bundle, scope, json.type);
  if (lookup(bundle, target)?.values !== undefined) return { ...base, scalar: 'int32', message: undefined };
  let known: MessageType | undefined;
  return { ...base, scalar: undefined, message: () => (known ??= typeOf(bundle, target)) };
}
