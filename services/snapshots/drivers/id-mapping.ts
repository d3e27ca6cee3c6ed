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
