// What a load has been told was done, and when: to compare with what is there after a crash.

/** `done` is Infinity while it is not acknowledged. */
interface Entry<T> {
  readonly began: number;
  done: number;
  readonly value: T | undefined;
}

/** What may be there: at least one holds. `undefined` stands for: nothing. */
export type Possible<T> = readonly (T | undefined)[];

export interface Ledger<T> {
  /** Does the work, after which the key has the value (undefined: is gone). One at a time per key. */
  record(key: string, value: T | undefined, work: () => Promise<unknown>): Promise<void>;
  /** Of every key: what may be there when all that was acknowledged before `from` counts, and nothing after `to`. */
  at(from: number, to: number): Map<string, Possible<T>>;
}

export function createLedger<T>(): Ledger<T> {
  const entries = new Map<string, Entry<T>[]>();
  return {
    async record(key, value, work) {
      const entry: Entry<T> = { began: performance.now(), done: Number.POSITIVE_INFINITY, value };
      const all = entries.get(key);
      if (all === undefined) entries.set(key, [entry]);
      else all.push(entry);
      await work();
      entry.done = performance.now();
    },
    at(from, to) {
      const found = new Map<string, Possible<T>>();
      for (const [key, all] of entries) {
        const known = all.findLast(({ done }) => done <= from);
        const open = all.slice(known === undefined ? 0 : all.indexOf(known) + 1).filter(({ began }) => began <= to);
        if (known === undefined && open.length === 0) continue;
        found.set(key, [known?.value, ...open.map(({ value }) => value)]);
      }
      return found;
    },
  };
}
