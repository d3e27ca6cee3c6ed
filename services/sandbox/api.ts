// Sandboxes: metadata of pods. What runs in one are tasks; its record says how it is made.
import type { Any } from '../containers/api.ts';
import type { Labels } from '../lib/labels.ts';
import type { Instant } from '../lib/time.ts';

export interface Sandbox {
  readonly id: string;
  readonly runtime: { readonly name: string; readonly options: Any | undefined };
  /** Some sandboxers need none. */
  readonly spec: Any | undefined;
  readonly labels: Labels;
  readonly extensions: ReadonlyMap<string, Any>;
  /** Name of the controller that runs it; '' for the default one. */
  readonly sandboxer: string;
  readonly created: Instant;
  readonly updated: Instant;
}

/** A sandbox as a client describes it. */
export type SandboxSpec = Omit<Sandbox, 'created' | 'updated'>;

export interface Sandboxes {
  /** Throws `already exists`; `invalid argument`. */
  create(namespace: string, spec: SandboxSpec): Promise<Sandbox>;
  /**
   * Changes what `mask` says (`labels[.<key>]`, `extensions[.<key>]`, `spec`, `runtime`), all of these
   * when it is empty. Throws `not found`; `invalid argument`.
   */
  update(namespace: string, spec: SandboxSpec, mask: readonly string[]): Promise<Sandbox>;
  /** Throws `not found`. */
  get(namespace: string, id: string): Sandbox;
  /** All that match one of the filters, in order of ids. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Sandbox[];
  /** Throws `not found`. */
  delete(namespace: string, id: string): Promise<void>;
}
