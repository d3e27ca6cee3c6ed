// Labels: string pairs on every record. An empty value means "no such label".
//
// In the daemon labels are a Map: `__proto__` is a legal key.
import { Failure, invalidArgument } from './errors.ts';

export type Labels = ReadonlyMap<string, string>;

export const NO_LABELS: Labels = new Map();

/** Key and value together, in bytes; containerd's limit. */
const MAX_SIZE = 4096;

/** How much of a key an error shows. */
const MAX_SHOWN = 64;

/** Throws `invalid argument` for an empty key, and when key and value together are longer than containerd allows. */
export function validateLabel(key: string, value: string): void {
  if (key === '') throw invalidArgument('label key must not be empty');
  const size = Buffer.byteLength(key) + Buffer.byteLength(value);
  if (size <= MAX_SIZE) return;
  throw invalidArgument(
    `label key and value length (${size} bytes) greater than maximum size (${MAX_SIZE} bytes), key: ${key.slice(0, MAX_SHOWN)}`,
  );
}

/** `owner`, where given, begins the message: `image.Labels`. */
export function validateLabels(labels: Labels, owner?: string): void {
  try {
    for (const [key, value] of labels) validateLabel(key, value);
  } catch (error) {
    throw error instanceof Failure && owner !== undefined ? error.in(owner) : error;
  }
}

/** From a protobuf map; entries with an empty value are left out. */
export function labelsFromWire(wire: Record<string, string>): Map<string, string> {
  return new Map(Object.entries(wire).filter(([, value]) => value !== ''));
}

/** To a protobuf map; null-prototype, so that no key is special. */
export function labelsToWire(labels: Labels): Record<string, string> {
  const wire: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [key, value] of labels) wire[key] = value;
  return wire;
}

/** A copy with one label set, or removed when the value is empty. */
export function withLabel(labels: Labels, key: string, value: string): Map<string, string> {
  const copy = new Map(labels);
  if (value === '') copy.delete(key);
  else copy.set(key, value);
  return copy;
}
