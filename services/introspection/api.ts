// Introspection: what this daemon is made of, in containerd's words: plugins by type and id.
import type { Any } from '../../proto/gen/google.protobuf.ts';

export interface Plugin {
  /** `io.containerd.snapshotter.v1` */
  readonly type: string;
  readonly id: string;
  /** Types that it builds on. */
  readonly requires: readonly string[];
  /** Whether it is bound to the machine's platform. */
  readonly platform: boolean;
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** Why it is not there, when it was asked for and could not be loaded. */
  readonly initError?: Error;
  /** Further information for a client's options; left out where there is none to ask. Throws `not implemented` for unknown options. */
  info?(options: Any): Promise<Any>;
}
