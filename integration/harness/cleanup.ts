// Empties a namespace through the API, and names what could not be removed.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';

/** Those that every machine has. */
export const SNAPSHOTTERS = ['overlayfs', 'native'] as const;

const STOPPED = 3;
const TRIES = 100;
const SNAPSHOT_TRIES = 20;

/** Kills and deletes a task; one that is not there is fine. */
export async function removeTask(client: Client, id: string): Promise<void> {
  for (let attempt = 0; attempt < TRIES; attempt += 1) {
    try {
      const { process } = await client.tasks.Get({ container_id: id });
      if (process?.status === STOPPED || process?.pid === 0) {
        await client.tasks.Delete({ container_id: id });
        return;
      }
      await client.tasks.Resume({ container_id: id }).catch(() => undefined);
      await client.tasks.Kill({ container_id: id, signal: 9, all: true });
    } catch (error) {
      if (isNotFound(error)) return;
      if (attempt === TRIES - 1) throw error;
    }
    await sleep(20);
  }
  throw new Error(`task "${id}": still there after ${TRIES} tries`);
}

export async function emptyNamespace(client: Client): Promise<string[]> {
  const problems: string[] = [];
  const attempt = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work().catch((error: unknown) => {
      if (!isNotFound(error)) problems.push(`${what}: ${String(error)}`);
    });
  };
  await attempt('tasks', async () => {
    const { tasks } = await client.tasks.List({});
    for (const { id } of tasks) await attempt(`task ${id}`, () => removeTask(client, id));
  });
  const { containers } = await client.containers.List({});
  for (const { id } of containers) {
    await attempt(`task ${id}`, () => removeTask(client, id));
    await attempt(`container ${id}`, () => client.containers.Delete({ id }));
  }
  const { images } = await client.images.List({});
  for (const { name } of images) await attempt(`image ${name}`, () => client.images.Delete({ name }));
  const { leases } = await client.leases.List({});
  for (const { id } of leases) await attempt(`lease ${id}`, () => client.leases.Delete({ id, sync: true }));
  for (const snapshotter of await loadedSnapshotters(client))
    problems.push(...(await removeSnapshots(client, snapshotter)));
  const { statuses } = await client.content.ListStatuses({});
  for (const { ref } of statuses) await attempt(`ingest ${ref}`, () => client.content.Abort({ ref }));
  for await (const { info } of client.content.List({})) {
    for (const { digest } of info) await attempt(`blob ${digest}`, () => client.content.Delete({ digest }));
  }
  await attempt(`namespace ${client.namespace}`, () => client.namespaces.Delete({ name: client.namespace }));
  return problems;
}

async function loadedSnapshotters(client: Client): Promise<string[]> {
  const { plugins } = await client.introspection.Plugins({ filters: ['type==io.containerd.snapshotter.v1'] });
  return plugins.filter(({ init_err }) => init_err === null).map(({ id }) => id);
}

async function snapshotKeys(client: Client, snapshotter: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { info } of client.snapshots.List({ snapshotter })) keys.push(...info.map(({ name }) => name));
  return keys;
}

/** Children first: a parent refuses until they are gone, also from the disk, which may take a moment. */
async function removeSnapshots(client: Client, snapshotter: string): Promise<string[]> {
  let keys = await snapshotKeys(client, snapshotter);
  let last: unknown;
  for (let fruitless = 0; keys.length > 0 && fruitless < SNAPSHOT_TRIES;) {
    const had = keys.length;
    for (const key of keys)
      await client.snapshots.Remove({ snapshotter, key }).catch((error: unknown) => (last = error));
    keys = await snapshotKeys(client, snapshotter);
    if (keys.length < had) continue;
    fruitless += 1;
    await sleep(100);
  }
  return keys.map((key) => `snapshot ${snapshotter} ${key}: ${String(last)}`);
}
