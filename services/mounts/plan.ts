// Which of an activation's mounts the daemon performs, and what is done to each before.
import type { Mount } from '../lib/mount.ts';

/** What is done to a mount before it is performed or handed back, the first one first. */
export type Transform = 'format' | 'mkfs' | 'mkdir';

export interface Planned {
  /** Its type without the transforms that were written before it. */
  readonly mount: Mount;
  readonly transforms: readonly Transform[];
}

export interface Plan {
  /** To be performed, in order. */
  readonly performed: readonly Planned[];
  /** To be handed back, in order; the transforms of the first one alone are applied. */
  readonly system: readonly Planned[];
}

const TRANSFORMS: readonly string[] = ['format', 'mkfs', 'mkdir'] satisfies Transform[];
/** Types that only the daemon can mount. */
const HANDLED: readonly string[] = ['loop', 'erofs'];

/** Undefined: whoever asks can perform them all himself. */
export function plan(mounts: readonly Mount[], temporary: boolean): Plan | undefined {
  const planned = mounts.map(split);
  let first = -1;
  for (const [index, { mount, transforms }] of planned.entries()) {
    // What it refers to is to be there before.
    if (transforms.length > 0) first = index;
    if (temporary || HANDLED.includes(mount.type)) first = index + 1;
  }
  if (first < 0) return undefined;
  return { performed: planned.slice(0, first), system: planned.slice(first) };
}

function split(mount: Mount): Planned {
  const transforms: Transform[] = [];
  let type = mount.type;
  for (let slash = type.indexOf('/'); slash >= 0; slash = type.indexOf('/')) {
    const word = type.slice(0, slash);
    if (!TRANSFORMS.includes(word)) break;
    transforms.push(word as Transform);
    type = type.slice(slash + 1);
  }
  return { mount: { ...mount, type }, transforms };
}
