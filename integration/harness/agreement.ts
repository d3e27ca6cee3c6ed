// Whether records, disk and what runs say the same, after a collection: nothing may be going on meanwhile.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import { SNAPSHOTTERS } from './cleanup.ts';
import type { Daemon } from './daemon.ts';
import { collect } from './expect.ts';
import { sha256 } from './image.ts';
import { parentOf } from './procfs.ts';
import { getBlob } from './store.ts';

/** What is removed in the background is given this long. */
const SETTLE_MS = 5000;

/** Runs the collector; resolves when it is done. */
export async function collectGarbage(client: Client): Promise<void> {
  const id = `sweep-${process.pid}-${Date.now()}`;
  await client.leases.Create({ id });
  await client.leases.Delete({ id, sync: true });
}

/** One line for each disagreement of davitd with its folders; the bytes of all blobs are read. */
export async function disagreements(daemon: Daemon, client: Client): Promise<string[]> {
  await collectGarbage(client);
  for (const snapshotter of SNAPSHOTTERS) await client.snapshots.Cleanup({ snapshotter });
  const { namespaces } = await client.namespaces.List({});
  const clients = namespaces.map(({ name }) => client.with({ namespace: name }));
  const damaged = (await Promise.all(clients.map(damagedBlobs))).flat();
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const found = [...damaged, ...(await differences(daemon, clients))];
    if (found.length === 0 || performance.now() > deadline) return found;
    await sleep(50);
  }
}

async function damagedBlobs(client: Client): Promise<string[]> {
  const found: string[] = [];
  for await (const { info } of client.content.List({}))
    for (const { digest, size } of info) {
      const bytes = await getBlob(client, digest);
      if (sha256(bytes) !== digest || String(bytes.length) !== size) found.push(`blob ${digest} is damaged`);
    }
  return found;
}

async function differences({ root, state, directory }: Daemon, clients: readonly Client[]): Promise<string[]> {
  const all = async <T>(list: (client: Client) => Promise<T[]>): Promise<T[]> =>
    (await Promise.all(clients.map(list))).flat();
  const blobs = await all(async ({ content }) =>
    (await collect(content.List({}))).flatMap(({ info }) => info.map(({ digest }) => digest.slice(7))),
  );
  const refs = await all(async ({ content }) => (await content.ListStatuses({})).statuses);
  const tasks = await all(async ({ tasks: service, namespace }) =>
    (await service.List({})).tasks.map(({ id }) => `${namespace}/${id}`),
  );
  const snapshots = await all(async (client) =>
    (await collect(client.snapshots.List({ snapshotter: 'overlayfs' }))).flatMap(({ info }) => info),
  );
  const bundles = names(state, 'tasks').flatMap((namespace) =>
    names(state, 'tasks', namespace).map((id) => `${namespace}/${id}`),
  );
  const found = [
    ...differing('blob', names(root, 'content/blobs/sha256'), [...new Set(blobs)]),
    ...differing('task', bundles, tasks),
    ...names(state, 'mounts').map((name) => `temporary mount ${name}`),
  ];
  const compare = (what: string, there: number, known: number): void => {
    if (there !== known) found.push(`${there} ${what}, ${known} on record`);
  };
  compare('folders of snapshots', names(root, 'snapshots/overlayfs/snapshots').length, snapshots.length);
  // Another shim has its sockets elsewhere.
  if ((process.env['DAVIT_TEST_SHIM'] ?? '') === '')
    compare('sockets of shims', names(state, 's').length, tasks.length);
  compare('shims', shims(directory), tasks.length);
  // The file of an ingest comes with its first byte.
  const ingests = names(root, 'content/ingest').length;
  if (ingests > refs.length) found.push(`${ingests} files of ingests, ${refs.length} on record`);
  return found;
}

function names(...parts: string[]): string[] {
  try {
    return readdirSync(path.join(...parts));
  } catch {
    return []; // not made yet
  }
}

function differing(what: string, there: readonly string[], known: readonly string[]): string[] {
  return [
    ...there
      .filter((name) => !known.includes(name))
      .map((name) => `${what} ${name} is on disk, and no record knows it`),
    ...known.filter((name) => !there.includes(name)).map((name) => `${what} ${name} is on record, and not on disk`),
  ];
}

/** How many shims of the daemon in the folder run. A container that is not started yet is a fork of its shim. */
function shims(directory: string): number {
  const isShim = (pid: number | string): boolean => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return command.includes(directory) && command.includes('containerd-shim');
    } catch {
      return false; // ended meanwhile
    }
  };
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && isShim(pid) && !isShim(parentOf(Number(pid))))
    .length;
}
