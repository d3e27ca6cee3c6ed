// What active snapshots take: measured by reading their trees, which for a million files takes seconds, while
// clients such as the kubelet ask for all of them every few seconds. A small tree is read each time. The measurement of
// a larger one is good for twenty times as long as it takes to read all larger ones, so that reading them takes at
// most a twentieth of the time: one tree of 50 ms is read again after a second, ten of a second each after 200.
import { createLimit } from '../lib/limit.ts';
import type { Driver, Tree, Usage } from './api.ts';

export interface Measurer {
  /** Of an active snapshot; may be as old as said above. */
  usage(tree: Tree): Promise<Usage>;
  /** Of a tree that nobody writes to any more: read now, after those that are. */
  read(tree: Tree): Promise<Usage>;
  /** Nobody will ask for trees other than these any more. */
  retain(ids: ReadonlySet<string>): void;
}

/** Inodes of a tree that is read each time. */
const SMALL = 1000;
const GOOD_FOR = 20;

interface Measurement {
  readonly usage: Promise<Usage>;
  /** When it was made, in the clock's milliseconds; undefined while it is. */
  made: number | undefined;
  /** What reading took, in milliseconds; 0 for a small tree. */
  cost: number;
}

export function createMeasurer(driver: Pick<Driver, 'usage'>, clock = (): number => performance.now()): Measurer {
  const known = new Map<string, Measurement>();
  const oneAtATime = createLimit(1);

  function isGood({ made, cost }: Measurement): boolean {
    if (made === undefined) return true;
    if (cost === 0) return false;
    const all = [...known.values()].reduce((sum, each) => sum + each.cost, 0);
    return clock() < made + GOOD_FOR * all;
  }

  return {
    read: (tree) => oneAtATime(() => driver.usage(tree)),
    usage(tree) {
      const before = known.get(tree.id);
      if (before !== undefined && isGood(before)) return before.usage;
      let began = 0;
      const usage = oneAtATime(() => {
        began = clock();
        return driver.usage(tree);
      });
      // Meanwhile the last cost stands for it.
      const measurement: Measurement = { usage, made: undefined, cost: before?.cost ?? 0 };
      known.set(tree.id, measurement);
      usage.then(
        ({ inodes }) => {
          measurement.made = clock();
          measurement.cost = inodes < SMALL ? 0 : clock() - began;
        },
        () => known.delete(tree.id),
      );
      return usage;
    },
    retain(ids) {
      for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    },
  };
}
