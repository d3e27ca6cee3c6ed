// Mounts performed by the daemon itself.
//
// An activation has a name in its namespace. Its mounts are worked off in order: those that only the daemon
// can perform (a loop device, a file system to be made, one that a later mount refers to) become active, and what
// whoever asked has to mount himself, such as an overlay of them, is handed back as `system`.
//
//   Activate -> being made -> active -> Deactivate, or nothing needs it any more: undone
//
// An activation is needed while its lease lives, while a resource named by a label
// `containerd.io/gc.bref.*` of it is needed, and while one that is needed has a label `containerd.io/gc.ref.mount`.
import type { Scope } from '../leases/api.ts';
import type { Labels } from '../lib/labels.ts';
import type { Mount } from '../lib/mount.ts';
import type { Instant } from '../lib/time.ts';

export interface TemporaryMounts {
  /**
   * Mounts `mounts` on a private folder, runs `work` with its path, and always unmounts and removes it
   * again. Without mounts it is an empty folder. A failure of `work` is not hidden by one of the clean-up.
   */
  withMounted<T>(mounts: readonly Mount[], work: (root: string) => Promise<T>): Promise<T>;
}

/** A mount that is performed. */
export interface ActiveMount {
  readonly mount: Mount;
  /** A folder; of a loop device, a link to it. */
  readonly mountPoint: string;
  readonly mountedAt: Instant;
}

export interface Activation {
  readonly name: string;
  readonly active: readonly ActiveMount[];
  /** What is left to mount, in order on one target. */
  readonly system: readonly Mount[];
  readonly labels: Labels;
}

export interface Activations {
  /**
   * `temporary`: all mounts are performed, and what is left is a bind mount of the last one.
   * Throws `not implemented` when the daemon is not needed for any of them; `already exists` for an active name;
   * `not found` for the scope's lease; `invalid argument` for what the mounts say. On failure nothing is left.
   */
  activate(
    scope: Scope,
    name: string,
    mounts: readonly Mount[],
    labels: Labels,
    temporary: boolean,
    signal: AbortSignal,
  ): Promise<Activation>;
  /** Undoes the mounts, the last one first. Throws `not found`. What is busy is left to garbage collection. */
  deactivate(namespace: string, name: string): Promise<void>;
  /** Throws `not found`. */
  info(namespace: string, name: string): Activation;
  /** All that match one of the filters, in order of their names. Throws `invalid argument` for an ill-formed filter. */
  list(namespace: string, filters: readonly string[]): readonly Activation[];
}
