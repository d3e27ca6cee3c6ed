// Codecs for records that are not messages of the wire.
import type { Codec } from './api.ts';

/** Records as JSON; Maps are written as lists of pairs under the key `@map`. */
export function jsonCodec<T>(): Codec<T> {
  return {
    encode: (record) => Buffer.from(JSON.stringify(record, replacer)),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString('utf8'), reviver) as T,
  };
}

function replacer(_key: string, value: unknown): unknown {
  return value instanceof Map ? { '@map': [...value] } : value;
}

function reviver(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || !('@map' in value)) return value;
  return new Map(value['@map'] as [unknown, unknown][]);
}
