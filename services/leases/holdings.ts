// What each lease holds, kept in step with the records.
import type { Resource } from './api.ts';

export interface Holding extends Resource {
  readonly lease: string;
}

/** The key of a holding's record. Ids have any character but NUL, so JSON's quoting tells the parts apart. */
export function holdingKey(lease: string, { type, id }: Resource): string {
  return JSON.stringify([lease, type, id]);
}

export class Holdings {
  /** namespace -> lease -> key of the record -> what it holds. */
  readonly #namespaces = new Map<string, Map<string, Map<string, Holding>>>();

  readonly changed = (
    namespace: string,
    key: string,
    before: Holding | undefined,
    after: Holding | undefined,
  ): void => {
    const holding = after ?? before;
    if (holding === undefined) return;
    let leases = this.#namespaces.get(namespace);
    if (leases === undefined) this.#namespaces.set(namespace, (leases = new Map()));
    let held = leases.get(holding.lease);
    if (held === undefined) leases.set(holding.lease, (held = new Map()));
    if (after !== undefined) held.set(key, after);
    else held.delete(key);
    if (held.size > 0) return;
    leases.delete(holding.lease);
    if (leases.size === 0) this.#namespaces.delete(namespace);
  };

  /** A copy, so that the records may change while it is read. */
  of(namespace: string, lease: string): readonly Resource[] {
    const held = this.#namespaces.get(namespace)?.get(lease);
    return held === undefined ? [] : [...held.values()].map(({ type, id }) => ({ type, id }));
  }
}
