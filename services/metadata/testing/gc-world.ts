// Does random things to stores, some at the same time as a collection, and compares what stays with the model.
import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  actions,
  isRoot,
  keyOf,
  NOTHING,
  PLAIN,
  survivors,
  typeOf,
  type Action,
  type Name,
  type Resource,
} from './gc-model.ts';

/** The stores under test. What they refuse they reject with something that isRefusal() knows. */
export interface Stores {
  /** Namespaces: two. */
  readonly namespaces: readonly string[];
  /**
   * Makes it; resolves with whether it was made. What is there stays as it is, under the lease; but an image is
   * changed, and an ingest opened again.
   */
  put(namespace: string, name: Name, resource: Resource, lease: string | undefined): Promise<boolean>;
  /** Of content. */
  label(namespace: string, name: Name, resource: Resource): Promise<void>;
  delete(namespace: string, name: Name): Promise<void>;
  commit(namespace: string, from: Name, to: Name, resource: Resource, lease: string | undefined): Promise<void>;
  hold(namespace: string, lease: string, name: Name, held: boolean): Promise<void>;
  isRefusal(error: unknown): boolean;
  /** Resolves when a collection that began after the call is done, with all that it removes. */
  collect(): Promise<void>;
  present(namespace: string): Promise<Name[]>;
  /** What is on disk: the keys of content, and how many files of ingests and folders of snapshots. */
  disk(): Promise<{ readonly content: string[]; readonly ingests: number; readonly snapshots: number }>;
}

interface Batch {
  /** At the same time, when no two of them are about the same. */
  readonly actions: readonly Action[];
  /** And meanwhile a collection. */
  readonly collecting: boolean;
}

type Graph = Map<Name, Resource>;

const batches: fc.Arbitrary<readonly Batch[]> = fc.array(
  fc.record({
    actions: fc.array(actions, { minLength: 4, maxLength: 12 }),
    collecting: fc.nat(3).map((at) => at === 0),
  }),
  { minLength: 8, maxLength: 16 },
);

/** The stores may collect by themselves, too. */
export async function checkCollector(
  stores: Stores,
  runs: number,
): Promise<{ readonly done: number; readonly refused: number; readonly removed: number }> {
  const totals = { done: 0, refused: 0, removed: 0 };
  const outcome = await fc.check(
    fc.asyncProperty(batches, async (all) => {
      const graphs: Graph[] = stores.namespaces.map(() => new Map());
      try {
        for (const batch of all) {
          await runBatch(graphs, batch);
          if (batch.collecting) await assertCollected(graphs);
        }
        await assertCollected(graphs);
      } finally {
        await removeAll(graphs);
      }
      await assertCollected(graphs);
    }),
    { numRuns: runs, endOnFailure: true },
  );
  if (outcome.failed) {
    const { seed, counterexamplePath, errorInstance } = outcome;
    assert.fail(`history ${JSON.stringify({ seed, path: counterexamplePath })}: ${String(errorInstance)}`);
  }
  return totals;

  async function runBatch(graphs: readonly Graph[], { actions: drawn, collecting }: Batch): Promise<void> {
    const touched = drawn.flatMap(touches);
    if (drawn.length > 1 && new Set(touched).size < touched.length) {
      for (const action of drawn) await runBatch(graphs, { actions: [action], collecting });
      return;
    }
    const least = graphs.map((graph) => new Map(graph));
    const kept: [at: number, name: Name][] = [];
    await Promise.all([
      ...drawn.map((action) => perform(graphs, action, least, kept)),
      collecting ? stores.collect() : undefined,
    ]);
    // What was held all the time is there; of the rest only what a collection found before it was held is gone.
    for (const [at, graph] of graphs.entries()) {
      const present = new Set(await stores.present(stores.namespaces[at] ?? ''));
      const must = survivors(least[at] ?? new Map());
      for (const [where, name] of kept) if (where === at) must.add(name);
      for (const name of must) assert.ok(present.has(name), `${name} was held all the time, and is gone`);
      for (const name of graph.keys()) if (!present.has(name)) remove(graph, name);
    }
  }

  /** `least` loses whatever the action takes away; `kept` gets what it makes and protects. */
  async function perform(
    graphs: readonly Graph[],
    action: Action,
    least: readonly Graph[],
    kept: [at: number, name: Name][],
  ): Promise<void> {
    const { does, namespace: at, name, other } = action;
    const namespace = stores.namespaces[at] ?? '';
    const graph = graphs[at] as Graph;
    const leaseName = usable(action) && graph.has(usable(action) as Name) ? usable(action) : undefined;
    const lease = leaseName && keyOf(leaseName);
    const before = graph.get(name);
    const otherBefore = graph.get(other);
    const resource = made(action, leaseName, before);
    const held = (what: Name, holds: boolean): void => {
      if (leaseName === undefined) return;
      const found = graph.get(leaseName) as Resource;
      graph.set(leaseName, { ...found, needs: changed(found.needs, what, holds) });
      if (holds && found.expire !== 'past') kept.push([at, what]);
    };
    least[at]?.delete(name);
    try {
      if (does === 'delete') {
        await stores.delete(namespace, name);
        graph.delete(name);
      } else if (does === 'commit') {
        least[at]?.delete(other);
        const committed = { ...resource, needs: before?.needs ?? new Set<Name>() };
        await stores.commit(namespace, name, other, committed, lease);
        graph.delete(name);
        graph.set(other, committed);
        if (isRoot(other, committed)) kept.push([at, other]);
        held(name, false);
        held(other, true);
      } else if (does === 'label') {
        await stores.label(namespace, name, resource);
        graph.set(name, resource);
        if (isRoot(name, resource)) kept.push([at, name]);
      } else if (does === 'hold' || does === 'release') {
        await stores.hold(namespace, keyOf(name), other, does === 'hold');
        const found = before ?? PLAIN;
        graph.set(name, { ...found, needs: changed(found.needs, other, does === 'hold') });
        if (does === 'release') least[at]?.delete(name);
        else if (before !== undefined) least[at]?.set(name, before);
      } else {
        const fresh = await stores.put(namespace, name, resource, lease);
        const stays = !fresh && before !== undefined && !/^(images|ingests) /.test(name);
        if (stays) least[at]?.set(name, before);
        else graph.set(name, resource);
        if (!stays && isRoot(name, resource)) kept.push([at, name]);
        held(name, true);
      }
      totals.done += 1;
    } catch (error) {
      if (!stores.isRefusal(error)) throw error;
      totals.refused += 1;
      if (before !== undefined) least[at]?.set(name, before);
      if (does === 'commit' && otherBefore !== undefined) least[at]?.set(other, otherBefore);
    }
  }

  async function assertCollected(graphs: readonly Graph[]): Promise<void> {
    await stores.collect();
    const content = new Set<string>();
    const counts = { ingests: 0, snapshots: 0 };
    for (const [at, graph] of graphs.entries()) {
      const stay = survivors(graph);
      const present = await stores.present(stores.namespaces[at] ?? '');
      assert.deepEqual(present.toSorted(), [...stay].toSorted(), `after a collection in ${stores.namespaces[at]}`);
      for (const name of graph.keys()) {
        if (!stay.has(name)) remove(graph, name);
      }
      for (const name of graph.keys()) {
        if (typeOf(name) === 'content') content.add(keyOf(name));
        if (typeOf(name) === 'ingests') counts.ingests += 1;
        if (typeOf(name).startsWith('snapshots/')) counts.snapshots += 1;
      }
    }
    const disk = await stores.disk();
    assert.deepEqual(disk, { content: [...content].toSorted(), ...counts }, 'on disk');
  }

  /** A collection has removed it. */
  function remove(graph: Graph, name: Name): void {
    graph.delete(name);
    totals.removed += 1;
  }

  /** So that the next run begins with nothing. */
  async function removeAll(graphs: readonly Graph[]): Promise<void> {
    for (const [at, graph] of graphs.entries()) {
      graph.clear();
      const namespace = stores.namespaces[at] ?? '';
      // Parents refuse until their children are gone.
      for (let left = await stores.present(namespace); left.length > 0; left = await stores.present(namespace))
        for (const name of left)
          await stores.delete(namespace, name).catch((error: unknown) => {
            if (!stores.isRefusal(error)) throw error;
          });
    }
  }
}

/** The lease that the action is done under. */
function usable({ does, name, lease }: Action): Name | undefined {
  const type = typeOf(name);
  const takes = type === 'content' || type === 'ingests' || type.startsWith('snapshots/');
  return takes && (does === 'put' || does === 'commit') ? lease : undefined;
}

/** The resource as it will be: without what its type does not have. */
function made({ name, resource, other }: Action, lease: Name | undefined, before: Resource | undefined): Resource {
  const type = typeOf(name);
  const { links, root, expire, flat, used } = resource;
  if (type === 'leases') return { ...PLAIN, expire, flat };
  if (type === 'ingests') return { ...PLAIN, fresh: lease === undefined || before?.fresh === true };
  const base = { ...PLAIN, links, root };
  if (type === 'images') return { ...base, expire, needs: new Set([other]) };
  if (type === 'containers') return { ...base, needs: new Set([other]) };
  if (type === 'content') return base;
  return { ...base, used, needs: new Set(other === NOTHING ? [] : [other]) };
}

function changed(set: ReadonlySet<Name>, name: Name, has: boolean): ReadonlySet<Name> {
  const copy = new Set(set);
  if (has) copy.add(name);
  else copy.delete(name);
  return copy;
}

/** What an action is about, in its namespace. */
function touches(action: Action): string[] {
  const { namespace, name, other } = action;
  const lease = usable(action);
  const about = [name, ...(lease === undefined ? [] : [lease])];
  if (typeOf(name).startsWith('snapshots/') && other !== NOTHING) about.push(other);
  return about.map((each) => `${namespace} ${each}`);
}
