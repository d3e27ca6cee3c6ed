// The fields of messages, read and written as a table says. See messages.ts.
import { ByteReader, ByteWriter, WireType } from './bytes.ts';

export type Scalar = 'double' | 'int32' | 'uint32' | 'int64' | 'uint64' | 'bool' | 'string' | 'bytes';

export interface Field {
  readonly name: string;
  readonly id: number;
  readonly shape: 'single' | 'repeated' | 'map';
  /** Has a value that may be absent: members of a oneof. */
  readonly optional: boolean;
  readonly scalar: Scalar | undefined;
  readonly message: (() => MessageType) | undefined;
}

export type Message = Record<string, unknown>;

const SCALARS = new Set(['double', 'int32', 'uint32', 'int64', 'uint64', 'bool', 'string', 'bytes']);
const MAX_DEPTH = 64;

export function isScalar(type: string): type is Scalar {
  return SCALARS.has(type);
}

export class MessageType {
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
    writer.tag(id, WireType.BYTES).block(inner);
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
      writer.string(String(value));
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
  writer.tag(field.id, WireType.BYTES).block(packed);
}

/** Every map of the wire has strings for keys. */
function encodeMap(field: Field, entries: Readonly<Record<string, unknown>>, writer: ByteWriter): void {
  for (const [key, value] of Object.entries(entries)) {
    if (value === undefined || value === null) continue;
    const entry = new ByteWriter();
    entry.tag(1, WireType.BYTES).string(key);
    encodeValue(field, 2, value, entry, false);
    writer.tag(field.id, WireType.BYTES).block(entry);
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
      return reader.int64(false) !== '0';
    case 'string':
      return reader.string();
    case 'bytes':
      return reader.bytes();
    case 'uint32':
      return reader.uint32();
    case 'int32':
      return reader.uint32() | 0;
    case 'int64':
      return reader.int64(true);
    case 'uint64':
      return reader.int64(false);
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
    if (tag >>> 3 === 1) key = reader.string();
    else if (tag >>> 3 === 2) value = decodeValue(field, tag & 7, reader, depth);
    else reader.skip(tag & 7);
  }
  // `__proto__` is a key like any other.
  Object.defineProperty(into, key, { value, enumerable: true, configurable: true, writable: true });
}
