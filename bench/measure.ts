// How numbers are taken: in turn, so that what happens on the machine meanwhile hits both sides alike.

export interface Pair {
  readonly reference: number;
  readonly davit: number;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}

export async function milliseconds(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

/** A B A B ...: medians of `runs` measurements of each, after one of each that does not count. */
export async function inTurn(
  runs: number,
  reference: () => Promise<number>,
  davit: () => Promise<number>,
  warmUp = true,
): Promise<Pair> {
  if (warmUp) {
    await reference();
    await davit();
  }
  const taken = { reference: [] as number[], davit: [] as number[] };
  for (let run = 0; run < runs; run += 1) {
    taken.reference.push(await reference());
    taken.davit.push(await davit());
  }
  return { reference: median(taken.reference), davit: median(taken.davit) };
}

/** Runs `work` for 0..count-1, at most `width` at the same time. */
export async function parallel(count: number, width: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
