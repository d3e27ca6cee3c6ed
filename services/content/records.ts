// The records of content, and what can be told from all of them together.
import { codec } from '../../proto/messages.ts';
import type * as wire from '../../proto/gen/containerd.services.content.v1.ts';
import type { Instant } from '../lib/time.ts';
import type { Metadata, Table } from '../metadata/api.ts';
import { jsonCodec } from '../metadata/codec.ts';
import type { Info } from './api.ts';
import { infoFromWire, infoToWire } from './convert.ts';

export interface Ingest {
  /** Name of its file. */
  readonly id: string;
  readonly started: Instant;
  /** Expected size, 0 when unknown. */
  readonly total: number;
  /** The blob of other namespaces whose bytes it shares, '' when it has a file of its own. */
  readonly shared: string;
  /** When it is garbage unless a lease holds it, in milliseconds since 1970; 0 for at once. */
  readonly expires: number;
}

/** What changed so that files may be without a record now. */
export interface Orphans {
  blob(digest: string): void;
  ingest(id: string): void;
}

export class ContentRecords {
  readonly blobs: Table<Info>;
  readonly ingests: Table<Ingest>;
  /** digest -> how many namespaces have it, and its size. */
  readonly #owners = new Map<string, { count: number; size: number }>();
  /** digest -> how many ingests share its bytes. */
  readonly #sharers = new Map<string, number>();
  readonly #ids = new Set<string>();

  constructor(metadata: Metadata, orphans: Orphans) {
    const message = codec<wire.Info>('containerd.services.content.v1.Info');
    const infoCodec = {
      encode: (info: Info) => message.encode(infoToWire(info)),
      decode: (bytes: Uint8Array) => infoFromWire(message.decode(bytes)),
    };
    this.blobs = metadata.table('content', infoCodec, (_namespace, digest, before, after) => {
      if ((before === undefined) !== (after === undefined))
        this.#count(digest, after ?? before, after === undefined ? -1 : 1);
      if (after === undefined) orphans.blob(digest);
    });
    this.ingests = metadata.table('ingests', jsonCodec<Ingest>(), (_namespace, _ref, before, after) => {
      if (after !== undefined && after.shared !== '') this.#share(after.shared, 1);
      if (before !== undefined && before.shared !== '') {
        this.#share(before.shared, -1);
        orphans.blob(before.shared);
      }
      if (before !== undefined) this.#ids.delete(before.id);
      if (after !== undefined) this.#ids.add(after.id);
      if (before !== undefined && before.id !== after?.id) orphans.ingest(before.id);
    });
  }

  /** Whether any record needs the bytes. */
  owned(digest: string): boolean {
    return this.#owners.has(digest) || this.#sharers.has(digest);
  }

  hasIngest(id: string): boolean {
    return this.#ids.has(id);
  }

  /** The size of a blob that some namespace has. */
  size(digest: string): number | undefined {
    return this.#owners.get(digest)?.size;
  }

  #count(digest: string, info: Info | undefined, by: number): void {
    const owners = this.#owners.get(digest) ?? { count: 0, size: info?.size ?? 0 };
    owners.count += by;
    if (owners.count > 0) this.#owners.set(digest, owners);
    else this.#owners.delete(digest);
  }

  #share(digest: string, by: number): void {
    const count = (this.#sharers.get(digest) ?? 0) + by;
    if (count > 0) this.#sharers.set(digest, count);
    else this.#sharers.delete(digest);
  }
}
