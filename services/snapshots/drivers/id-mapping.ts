// The labels that ask for a tree whose files belong to mapped ids.
import { invalidArgument } from '../../lib/errors.ts';
import type { Labels } from '../../lib/labels.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

const UID_LABEL = 'containerd.io/snapshot/uidmapping';
const GID_LABEL = 'containerd.io/snapshot/gidmapping';
/** -1 as an unsigned id: "no id". */
const NO_ID = 0xffffffff;

/**
 * The owner that a container's root is outside it; undefined when the labels say nothing.
 * Throws `invalid argument` for a mapping that is ill-formed or leaves root out.
 */
export function mappedRoot(labels: Labels): Owner | undefined {
  const uids = labels.get(UID_LABEL);
  const gids = labels.get(GID_LABEL);
  if (uids === undefined && gids === undefined) return undefined;
  return { uid: rootId(UID_LABEL, uids), gid: rootId(GID_LABEL, gids) };
}

/** Linux 6.15: before it overlayfs takes no layers that are mounts of their own. */
const FIRST_KERNEL = [6, 15] as const;

/** Whether this kernel can show layers with mapped ids, as the mount options uidmap= and gidmap= ask for. */
export function canMapLayers(kernel: string): boolean {
  const [major = 0, minor = 0] = kernel.split('.').map((part) => Number.parseInt(part, 10));
  return major > FIRST_KERNEL[0] || (major === FIRST_KERNEL[0] && minor >= FIRST_KERNEL[1]);
}

/** `container:host:size[,...]`, as `ctr` and nerdctl write it. */
function rootId(label: string, value: string | undefined): number {
  if (value === undefined) return 0;
  for (const range of value.split(',')) {
    const match = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(range);
    const [inside, outside, size] = (match ?? []).slice(1).map(Number);
    if (
      inside === undefined ||
      outside === undefined ||
      size === undefined ||
      Math.max(inside, outside, size) >= NO_ID
    ) {
      throw invalidArgument(`label ${label}: ${JSON.stringify(range)} is not of the form container:host:size`);
    }
    if (inside === 0 && size > 0) return outside;
  }
  throw invalidArgument(`label ${label}: ${JSON.stringify(value)} maps no root`);
}
