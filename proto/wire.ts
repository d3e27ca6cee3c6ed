// Encoding and decoding by table, for programs that live for a tenth of a second.
//
// protobufjs resolves every type of a bundle and generates code for those that are used: right for
// the daemon, and a third of a command's whole time for davit. This reads the same descriptors,
// looks at the types that are used only, and interprets them. Messages look as those of
// messages.ts; the test beside compares the two over every type of the wire.
import { descriptors, type Bundle } from './descriptors.ts';
import type { MessageCodec, MethodShape } from './messages.ts';
import { ByteReader, ByteWriter, WireType } from './bytes.ts';

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

type Scalar = 'double' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'bool' | 'string' | 'bytes';

interface Field {
  readonly name: string;
  readonly id: number;
  readonly shape: 'single' | 'repeated' | 'map';
  /** Has a value that may be absent: members of a oneof. */
  readonly optional: boolean;
  readonly scalar: Scalar | undefined;
  readonly message: (() => MessageType) | undefined;
}

type Message = Record<string, unknown>;

const SCALARS = new Set(['double', 'int32', 'uint32', 'int64', 'uint64', 'bool', 'string', 'bytes']);
const MAX_DEPTH = 64;

class MessageType {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly byId: ReadonlyMap<number, Field>;

  constructor(name: string, fields: readonly Field[]) {
    this.name = name;
    this.fields = fields;
    this.byId = new Map(fields.map((field) => [field.id, field]));
  }

  encode(message: Message, writer: ByteWriter): void {
    for (const field of this.fields) {
      const value = message[field.name];
      if (value === null || value === undefined) continue;
      if (field.shape === 'repeated') encodeRepeated(field, value as readonly unknown[], writer);
      else if (field.shape === 'map') encodeMap(field, value as Readonly<Record<string, unknown>>, writer);
      else encodeValue(field, field.id, value, writer, !field.optional);
    }
  }

  decode(reader: ByteReader, end: number, depth: number): Message {
    if (depth > MAX_DEPTH) throw new Error(`${this.name}: nested too deeply`);
    const message: Message = {};
    for (const field of this.fields) message[field.name] = initialValue(field);
    while (reader.position < end) {
      const tag = reader.uint32();
      const field = this.byId.get(tag >>> 3);
      if (field === undefined) reader.skip(tag & 7);
      else decodeField(field, tag & 7, message, reader, depth);
    }
    if (reader.position !== end) throw new Error(`${this.name}: ends in the middle of a field`);
    return message;
  }
}

const types = new Map<string, MessageType>();

/** The codec of a message by full name. Undefined when the bundle has none. */
export function findWireCodec<T>(name: string, bundle: Bundle = 'containerd'): MessageCodec<T> | undefined {
  const type = typeOf(bundle, name);
  if (type === undefined) return undefined;
  return {
    name,
    encode: (message) => {
      const writer = new ByteWriter();
      type.encode(message as Message, writer);
      return writer.finish();
    },
    decode: (bytes) => type.decode(new ByteReader(bytes), bytes.length, 0) as T,
  };
}

/** As findWireCodec, for names that are known when the program is written. */
export function wireCodec<T>(name: string, bundle: Bundle = 'containerd'): MessageCodec<T> {
  const found = findWireCodec<T>(name, bundle);
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
    request: wireCodec<object>(resolveName(bundle, service, method.requestType), bundle),
    response: wireCodec<object>(resolveName(bundle, service, method.responseType), bundle),
  };
}

function serviceOf(service: string, bundle: Bundle): Readonly<Record<string, MethodJson>> {
  const methods = lookup(bundle, service)?.methods;
  if (methods === undefined) throw new Error(`no service ${service} in bundle ${bundle}`);
  return methods;
}

function lookup(bundle: Bundle, fullName: string): ScopeJson | undefined {
  let scope: ScopeJson | undefined = descriptors(bundle);
  for (const part of fullName.split('.')) scope = scope?.nested?.[part];
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

function typeOf(bundle: Bundle, name: string): MessageType | undefined {
  const key = `${bundle} ${name}`;
  let type = types.get(key);
  if (type === undefined) {
    const json = lookup(bundle, name);
    if (json?.fields === undefined) return undefined;
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
  if (SCALARS.has(json.type)) return { ...base, scalar: json.type as Scalar, message: undefined };
  const target = resolveName(bundle, scope, json.type);
  if (lookup(bundle, target)?.values !== undefined) return { ...base, scalar: 'int32', message: undefined };
  const message = (): MessageType => {
    const type = typeOf(bundle, target);
    if (type === undefined) throw new Error(`${scope}.${name}: no type ${json.type}`);
    return type;
  };
  return { ...base, scalar: undefined, message };
}

const ZEROS: Readonly<Record<Scalar, unknown>> = {
  double: 0,
  int32: 0,
  uint32: 0,
  int64: '0',
  uint64: '0',
  bool: false,
  string: '',
  bytes: Buffer.alloc(0),
};

function initialValue(field: Field): unknown {
  if (field.shape === 'repeated') return [];
  if (field.shape === 'map') return {};
  return field.optional || field.scalar === undefined ? null : ZEROS[field.scalar];
}

function wireType(scalar: Scalar | undefined): number {
  if (scalar === 'double') return WireType.FIXED64;
  return scalar === undefined || scalar === 'string' || scalar === 'bytes' ? WireType.BYTES : WireType.VARINT;
}

function encodeValue(field: Field, id: number, value: unknown, writer: ByteWriter, skipZero: boolean): void {
  const { scalar } = field;
  if (scalar === undefined) {
    const inner = new ByteWriter();
    field.message?.().encode(value as Message, inner);
    writer.tag(id, WireType.BYTES).bytes(inner.finish());
    return;
  }
  if (skipZero && isZero(scalar, value)) return;
  writeScalar(scalar, value, writer.tag(id, wireType(scalar)));
}

function isZero(scalar: Scalar, value: unknown): boolean {
  if (scalar === 'bytes') return (value as Uint8Array).length === 0;
  return scalar === 'int64' || scalar === 'uint64' ? String(value) === '0' : !value;
}

function writeScalar(scalar: Scalar, value: unknown, writer: ByteWriter): void {
  switch (scalar) {
    case 'double':
      writer.double(Number(value));
      break;
    case 'bool':
      writer.uint32(value ? 1 : 0);
      break;
    case 'string':
      writer.bytes(Buffer.from(String(value), 'utf8'));
      break;
    case 'bytes':
      writer.bytes(value as Uint8Array);
      break;
    case 'uint32':
      writer.uint32(Number(value));
      break;
    default:
      writer.int64(value as string | number | bigint);
  }
}

function encodeRepeated(field: Field, values: readonly unknown[], writer: ByteWriter): void {
  if (values.length === 0) return;
  const { scalar } = field;
  if (scalar === undefined || wireType(scalar) === WireType.BYTES) {
    for (const value of values) encodeValue(field, field.id, value, writer, false);
    return;
  }
  const packed = new ByteWriter();
  for (const value of values) writeScalar(scalar, value, packed);
  writer.tag(field.id, WireType.BYTES).bytes(packed.finish());
}

/** Every map of the wire has strings for keys. */
function encodeMap(field: Field, entries: Readonly<Record<string, unknown>>, writer: ByteWriter): void {
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined || value === null) continue;
    const entry = new ByteWriter();
    entry.tag(1, WireType.BYTES).bytes(Buffer.from(key, 'utf8'));
    encodeValue(field, 2, value, entry, false);
    writer.tag(field.id, WireType.BYTES).bytes(entry.finish());
  }
}

function decodeField(field: Field, wire: number, message: Message, reader: ByteReader, depth: number): void {
  const { scalar, shape, name } = field;
  if (shape === 'map') {
    decodeEntry(field, message[name] as Message, reader, depth);
  } else if (shape === 'single') {
    message[name] = decodeValue(field, wire, reader, depth);
  } else if (scalar !== undefined && wireType(scalar) !== WireType.BYTES && wire === WireType.BYTES) {
    const end = reader.blockEnd();
    while (reader.position < end) (message[name] as unknown[]).push(readScalar(scalar, reader));
  } else {
    (message[name] as unknown[]).push(decodeValue(field, wire, reader, depth));
  }
}

function decodeValue(field: Field, wire: number, reader: ByteReader, depth: number): unknown {
  if (wire !== wireType(field.scalar)) throw new Error(`field ${field.name}: wire type ${wire}`);
  if (field.scalar !== undefined) return readScalar(field.scalar, reader);
  const end = reader.blockEnd();
  return field.message?.().decode(reader, end, depth + 1);
}

function readScalar(scalar: Scalar, reader: ByteReader): unknown {
  switch (scalar) {
    case 'double':
      return reader.double();
    case 'bool':
      return reader.uint64() !== 0n;
    case 'string':
      return reader.bytes().toString('utf8');
    case 'bytes':
      return reader.bytes();
    case 'uint32':
      return reader.uint32();
    case 'int32':
      return reader.uint32() | 0;
    case 'int64':
      return String(BigInt.asIntN(64, reader.uint64()));
    case 'uint64':
      return String(reader.uint64());
  }
}

function decodeEntry(field: Field, into: Message, reader: ByteReader, depth: number): void {
  const end = reader.blockEnd();
  let key = '';
  let value: unknown =
    field.scalar === undefined
      ? field.message?.().decode(new ByteReader(Buffer.alloc(0)), 0, depth + 1)
      : ZEROS[field.scalar];
  while (reader.position < end) {
    const tag = reader.uint32();
    if (tag >>> 3 === 1) key = reader.bytes().toString('utf8');
    else if (tag >>> 3 === 2) value = decodeValue(field, tag & 7, reader, depth);
    else reader.skip(tag & 7);
  }
  // `__proto__` is a key like any other.
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
}
