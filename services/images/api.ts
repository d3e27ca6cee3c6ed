// Images: names for content. An image points to one descriptor: a manifest or an index.
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';
import type { Scope } from '../leases/api.ts';

export interface Target {
  readonly mediaType: string;
  readonly digest: string;
  /** A 64-bit integer. */
  readonly size: bigint;
  readonly annotations: ReadonlyMap<string, string>;
}

export interface Image {
  readonly name: string;
  readonly labels: Labels;
  readonly target: Target;
  readonly created: Instant;
  readonly updated: Instant;
}

/** An image as a client describes it. */
export interface ImageSpec {
  readonly name: string;
  readonly labels: Labels;
  readonly target: Target;
}

export interface Images {
  /** Throws `not found`. */
  get(namespace: string, name: string): Image;
  /** All that match one of the filters, in order of names. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Image[];
  /** `at`: the time to record instead of now. Throws `already exists`; `invalid argument`. */
  create(scope: Scope, image: ImageSpec, at: Instant | undefined): Promise<Image>;
  /**
   * Changes what `mask` says (`labels`, `labels.<key>`, `target`, `annotations`, `annotations.<key>`),
   * everything when it is empty. Throws `not found`; `invalid argument`.
   */
  update(scope: Scope, image: ImageSpec, mask: readonly string[], at: Instant | undefined): Promise<Image>;
  /**
   * Removes the name. `target`: only when it points to this digest. `sync`: resolves when what
   * nothing needs any more is gone. Throws `not found`.
   */
  delete(
    scope: Scope,
    name: string,
    options: { target?: string | undefined; sync: boolean; signal: AbortSignal },
  ): Promise<void>;
}
