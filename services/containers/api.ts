// Containers: metadata of what may run. A container is not running: that is its task.
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';

export interface Any {
  readonly type_url: string;
  readonly value: Uint8Array;
}

export interface Container {
  readonly id: string;
  readonly labels: Labels;
  /** Name of the image it was made from; need not exist. */
  readonly image: string;
  readonly runtime: { readonly name: string; readonly options: Any | undefined };
  /** The OCI runtime spec as JSON, byte for byte as the client gave it. */
  readonly spec: Any;
  readonly snapshotter: string;
  readonly snapshotKey: string;
  readonly created: Instant;
  readonly updated: Instant;
  readonly extensions: ReadonlyMap<string, Any>;
  /** Id of the sandbox it belongs to, '' for none. */
  readonly sandbox: string;
}

export interface Containers {
  /** Throws `not found`. */
  get(namespace: string, id: string): Container;
  /** All that match one of the filters, in order of ids. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Container[];
}
