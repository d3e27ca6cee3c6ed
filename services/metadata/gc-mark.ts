// The mark: which nodes of a namespace are needed. Nodes of one namespace refer only to each other.
import type { Collectable, Emit } from './gc-api.ts';
import { gcLabels, type Target } from '../lib/gc-labels.ts';

export type Kinds = ReadonlyMap<string, Collectable>;

export interface Marked {
  has(type: string, key: string): boolean;
  /** When the first of the roots ceases to be one; Infinity when none will. */
  readonly nextExpiry: number;
}

/** Finds what the roots of a namespace lead to at `now` (milliseconds since 1970). */
export function mark(kinds: Kinds, namespace: string, now: number): Marked {
  const whole = new NodeSet();
  const flat = new NodeSet();
  const gray: { readonly type: string; readonly key: string; readonly flat: boolean }[] = [];
  const reach = (type: string, key: string, flatly: boolean): void => {
    if (whole.has(type, key) || !(flatly ? flat : whole).add(type, key)) return;
    gray.push({ type, key, flat: flatly });
  };
  const { backReferences, nextExpiry } = scan(kinds, namespace, now, reach);
  for (let node = gray.pop(); node !== undefined; node = gray.pop()) {
    if (!node.flat) {
      for (const target of backReferences.get(node.type)?.get(node.key) ?? []) reach(target.type, target.key, false);
    }
    const kind = kinds.get(node.type);
    const labels = kind?.labels(namespace, node.key);
    // A reference may point to what is not there.
    if (kind === undefined || labels === undefined) continue;
    kind.references(namespace, node.key, node.flat, reach);
    if (node.flat) continue;
    const read = gcLabels(labels);
    for (const target of read.references) reach(target.type, target.key, false);
    for (const target of read.conditionals) {
      const used = kinds.get(target.type)?.labels(namespace, target.key);
      if (used !== undefined && gcLabels(used).used.some((time) => target.holds(time, now)))
        reach(target.type, target.key, false);
    }
  }
  return { nextExpiry, has: (type, key) => whole.has(type, key) || flat.has(type, key) };
}

interface Scan {
  /** type -> key -> nodes that are needed when that one is. */
  readonly backReferences: ReadonlyMap<string, ReadonlyMap<string, readonly Target[]>>;
  readonly nextExpiry: number;
}

/** Emits the roots, and collects what can only be seen from the other end. */
function scan(kinds: Kinds, namespace: string, now: number, reach: Emit): Scan {
  const backReferences = new Map<string, Map<string, Target[]>>();
  let nextExpiry = Infinity;
  for (const kind of kinds.values()) {
    kind.each(namespace, (key, labels) => {
      const read = gcLabels(labels);
      const until = kind.rootUntil(namespace, key);
      if (until >= now) nextExpiry = Math.min(nextExpiry, until);
      if (until >= now || (kind.rootLabel && read.root)) reach(kind.type, key, false);
      for (const origin of read.backReferences) {
        let byKey = backReferences.get(origin.type);
        if (byKey === undefined) backReferences.set(origin.type, (byKey = new Map()));
        const targets = byKey.get(origin.key);
        if (targets === undefined) byKey.set(origin.key, [{ type: kind.type, key }]);
        else targets.push({ type: kind.type, key });
      }
    });
  }
  return { backReferences, nextExpiry };
}

class NodeSet {
  readonly #types = new Map<string, Set<string>>();

  has(type: string, key: string): boolean {
    return this.#types.get(type)?.has(key) ?? false;
  }

  /** False when it was there already. */
  add(type: string, key: string): boolean {
    let keys = this.#types.get(type);
    if (keys === undefined) this.#types.set(type, (keys = new Set()));
    if (keys.has(key)) return false;
    keys.add(key);
    return true;
  }
}
