// The fields of an envelope, as filters name them: `namespace`, `topic`, `event.<field path>`, where
// the path goes through the payload, decoded by its type URL.
import { findCodec } from '../../proto/messages.ts';
import type { Adaptor } from '../lib/filters.ts';
import type { Envelope } from './api.ts';

export function fieldsOf(envelope: Envelope): Adaptor {
  return ([first, ...rest]) => {
    switch (first) {
      case 'namespace':
        return present(envelope.namespace);
      case 'topic':
        return present(envelope.topic);
      case 'event':
        return fieldOf(payload(envelope), rest);
      default:
        return undefined;
    }
  };
}

/** Decoded once, however many subscribers look into it. */
const payloads = new WeakMap<Envelope, object | null>();

function payload(envelope: Envelope): object | null {
  let decoded = payloads.get(envelope);
  if (decoded === undefined) {
    decoded = decode(envelope.event);
    payloads.set(envelope, decoded);
  }
  return decoded;
}

/** Null when the type is not known or the bytes are not of that type: then it has no fields. */
function decode({ type_url, value }: Envelope['event']): object | null {
  try {
    return findCodec<object>(type_url.slice(type_url.lastIndexOf('/') + 1))?.decode(value) ?? null;
  } catch {
    return null;
  }
}

function fieldOf(message: unknown, [first, ...rest]: readonly string[]): string | undefined {
  if (first === undefined || typeof message !== 'object' || message === null || !Object.hasOwn(message, first))
    return undefined;
  const value = (message as Record<string, unknown>)[first];
  switch (typeof value) {
    case 'string':
      return present(value);
    case 'boolean':
    case 'number':
      return String(value);
    case 'object':
      // Keys of maps (labels) hold dots: what is left of the path is the key.
      return fieldOf(value, rest) ?? (rest.length > 1 ? fieldOf(value, [rest.join('.')]) : undefined);
    default:
      return undefined;
  }
}

function present(value: string): string | undefined {
  return value === '' ? undefined : value;
}
