// Mounts as containerd's API describes them: what to mount, not where. Whoever receives a list
// performs it in order on one target; `target`, when set, is a path below it.
import type { Mount as WireMount } from '../../proto/gen/containerd.types.ts';
import type { Input } from '../../proto/rpc.ts';

export interface Mount {
  /** `bind`, `overlay`, ... */
  readonly type: string;
  readonly source: string;
  readonly target: string;
  /** In the form of fstab: `ro`, `rbind`, `lowerdir=/a:/b`. */
  readonly options: readonly string[];
}

export function mountToWire(mount: Mount): Input<WireMount> {
  return { ...mount, options: [...mount.options] };
}

export function mountFromWire({ type, source, target, options }: WireMount): Mount {
  return { type, source, target, options };
}
