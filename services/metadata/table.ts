// One table in memory: namespace -> key -> record, listed in byte order of the keys.
import type { Change, Codec, Table } from './api.ts';

interface Bucket<T> {
  readonly records: Map<string, T>;
  /** All keys, in order. */
  readonly keys: string[];
  /** The listing last handed out; dropped, never modified, when a record changes. */
  listing: readonly (readonly [string, T])[] | undefined;
}

export class MemoryTable<T> implements Table<T> {
  readonly name: string;
  readonly codec: Codec<T>;
  readonly #change: Change<T> | undefined;
  readonly #buckets = new Map<string, Bucket<T>>();

  constructor(name: string, codec: Codec<T>, change?: Change<T>) {
    this.name = name;
    this.codec = codec;
    this.#change = change;
  }

  get(namespace: string, key: string): T | undefined {
    return this.#buckets.get(namespace)?.records.get(key);
  }

  has(namespace: string, key: string): boolean {
    return this.#buckets.get(namespace)?.records.has(key) ?? false;
  }

  size(namespace: string): number {
    return this.#buckets.get(namespace)?.records.size ?? 0;
  }

  namespaces(): readonly string[] {
    return [...this.#buckets.keys()].sort(compareBytes);
  }

  entries(namespace: string): Iterable<readonly [string, T]> {
    return this.#buckets.get(namespace)?.records ?? [];
  }

  list(namespace: string): readonly (readonly [string, T])[] {
    const bucket = this.#buckets.get(namespace);
    if (bucket === undefined) return [];
    bucket.listing ??= bucket.keys.map((key) => [key, bucket.records.get(key) as T]);
    return bucket.listing;
  }

  /** Sets or removes (undefined) a record; returns what was there before. */
  set(namespace: string, key: string, record: T | undefined): T | undefined {
    let bucket = this.#buckets.get(namespace);
    const before = bucket?.records.get(key);
    if (record === undefined && before === undefined) return undefined;
    if (bucket === undefined) {
      bucket = { records: new Map(), keys: [], listing: undefined };
      this.#buckets.set(namespace, bucket);
    }
    bucket.listing = undefined;
    if (record === undefined) {
      bucket.records.delete(key);
      bucket.keys.splice(position(bucket.keys, key), 1);
      if (bucket.records.size === 0) this.#buckets.delete(namespace);
    } else {
      bucket.records.set(key, record);
      if (before === undefined) bucket.keys.splice(position(bucket.keys, key), 0, key);
    }
    this.#change?.(namespace, key, before, record);
    return before;
  }
}

/** Where `key` is, or belongs, among the sorted keys. */
function position(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  // Records are read in order when the database is opened.
  if (high > 0 && compareBytes(keys[high - 1] as string, key) < 0) return high;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as string, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Order of the UTF-8 bytes; for JavaScript strings it differs from `<` only above U+D7FF. */
export function compareBytes(a: string, b: string): number {
  if (a === b) return 0;
  const high = /[\ud800-\uffff]/;
  if (high.test(a) && high.test(b)) return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return a < b ? -1 : 1;
}
