// One table in memory: namespace -> key -> record, listed in byte order of the keys.
import type { Codec, Table } from './api.ts';

interface Bucket<T> {
  readonly records: Map<string, T>;
  /** The sorted listing, dropped at every change of the records. */
  listing: readonly (readonly [string, T])[] | undefined;
}

export class MemoryTable<T> implements Table<T> {
  readonly name: string;
  readonly codec: Codec<T>;
  readonly #buckets = new Map<string, Bucket<T>>();

  constructor(name: string, codec: Codec<T>) {
    this.name = name;
    this.codec = codec;
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
    return [...this.#buckets.keys()].sort(byBytes);
  }

  list(namespace: string): readonly (readonly [string, T])[] {
    const bucket = this.#buckets.get(namespace);
    if (bucket === undefined) return [];
    bucket.listing ??= [...bucket.records].sort(([a], [b]) => byBytes(a, b));
    return bucket.listing;
  }

  /** Sets or removes (undefined) a record; returns what was there before. */
  set(namespace: string, key: string, record: T | undefined): T | undefined {
    let bucket = this.#buckets.get(namespace);
    const before = bucket?.records.get(key);
    if (record === undefined) {
      if (bucket === undefined) return undefined;
      bucket.records.delete(key);
      bucket.listing = undefined;
      if (bucket.records.size === 0) this.#buckets.delete(namespace);
      return before;
    }
    if (bucket === undefined) {
      bucket = { records: new Map(), listing: undefined };
      this.#buckets.set(namespace, bucket);
    }
    bucket.records.set(key, record);
    bucket.listing = undefined;
    return before;
  }
}

/** Order of the UTF-8 bytes, which for JavaScript strings differs from `<` above U+D7FF only. */
function byBytes(a: string, b: string): number {
  if (a === b) return 0;
  const ascii = /^[\x20-\x7e]*$/;
  if (ascii.test(a) && ascii.test(b)) return a < b ? -1 : 1;
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
