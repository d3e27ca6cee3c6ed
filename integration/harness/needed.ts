// What images need, computed from their manifests, and what is on the disk: both without asking the daemon
// what it refers to.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '../../client/connect.ts';
import { withLease } from '../../client/lease.ts';
import { collectGarbage } from './agreement.ts';
import { SNAPSHOTTERS } from './cleanup.ts';
import type { Daemon } from './daemon.ts';
import { collect } from './expect.ts';
import { sha256 } from './image.ts';
import { chainId } from './store.ts';

const SNAPSHOTTER = 'overlayfs';
const COMMITTED = 3;
/** What is removed in the background is given this long. */
const SETTLE_MS = 5000;

interface Document {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string }[];
}

/** A namespace, as its images need it to be. */
export interface Needs {
  readonly blobs: ReadonlySet<string>;
  /** Names of committed snapshots, each with all below it. */
  readonly snapshots: ReadonlySet<string>;
  /** One line for each thing that is missing, damaged, or named by a label and not there. */
  readonly problems: readonly string[];
}

/** Follows every image of the client's namespace down to its bytes on the disk and to its snapshots. */
export async function imageNeeds({ root }: Daemon, client: Client): Promise<Needs> {
  const blobs = new Set<string>();
  const snapshots = new Set<string>();
  const problems: string[] = [];
  const { images } = await client.images.List({});
  const labels = new Map(
    (await collect(client.content.List({}))).flatMap(({ info }) => info.map((each) => [each.digest, each.labels])),
  );
  const there = new Map(
    (await collect(client.snapshots.List({ snapshotter: SNAPSHOTTER }))).flatMap(({ info }) =>
      info.map((each) => [each.name, each]),
    ),
  );
  const read = (digest: string, whose: string): Buffer => {
    blobs.add(digest);
    if (!labels.has(digest)) problems.push(`${whose}: ${digest} is not in the namespace`);
    try {
      const bytes = readFileSync(path.join(root, 'content/blobs', digest.replace(':', '/')));
      if (sha256(bytes) !== digest) problems.push(`${whose}: ${digest} is damaged`);
      return bytes;
    } catch {
      problems.push(`${whose}: ${digest} is not on the disk`);
      return Buffer.from('{"config":{},"layers":[],"rootfs":{"diff_ids":[]}}');
    }
  };
  for (const { name, target } of images) {
    const { config, layers } = JSON.parse(read(target?.digest ?? '', name).toString()) as Document;
    for (const { digest } of layers) read(digest, name);
    const { rootfs } = JSON.parse(read(config.digest, name).toString()) as { rootfs: { diff_ids: string[] } };
    const top = labels.get(config.digest)?.[`containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`];
    if (top === undefined) continue;
    if (top !== chainId(rootfs.diff_ids)) problems.push(`${name}: the label of its config names ${top}`);
    for (let at = rootfs.diff_ids.length; at > 0; at -= 1) {
      const key = chainId(rootfs.diff_ids.slice(0, at));
      snapshots.add(key);
      const found = there.get(key);
      const parent = chainId(rootfs.diff_ids.slice(0, at - 1));
      if (found === undefined || found.kind !== COMMITTED || found.parent !== parent)
        problems.push(`${name}: snapshot ${key}: ${found === undefined ? 'none' : `${found.kind} on ${found.parent}`}`);
    }
  }
  for (const [key, { parent }] of there)
    if (parent !== '' && !there.has(parent)) problems.push(`snapshot ${key} has lost its parent ${parent}`);
  return { blobs, snapshots, problems };
}

/** The folder with a committed snapshot's own files, and those of the ones below it. */
export async function layerFolders(client: Client, name: string): Promise<string[]> {
  return await withLease(client, async (leased) => {
    const view = { snapshotter: SNAPSHOTTER, key: `look ${name}` };
    const { mounts } = await leased.snapshots.View({ ...view, parent: name });
    await leased.snapshots.Remove(view);
    const [mount] = mounts;
    const lower = mount?.options.find((option) => option.startsWith('lowerdir='));
    return lower === undefined ? [mount?.source ?? ''] : lower.slice('lowerdir='.length).split(':');
  });
}

/** One line for each difference between the disk and what the images of these namespaces need, after a collection. */
export async function unneeded(daemon: Daemon, clients: readonly Client[]): Promise<string[]> {
  const [first] = clients;
  if (first === undefined) return [];
  await collectGarbage(first);
  const needs = await Promise.all(clients.map((client) => imageNeeds(daemon, client)));
  const folders = new Set<string>();
  for (const [at, client] of clients.entries())
    for (const name of needs[at]?.snapshots ?? [])
      for (const folder of await layerFolders(client, name)) folders.add(path.basename(path.dirname(folder)));
  for (const snapshotter of SNAPSHOTTERS) await first.snapshots.Cleanup({ snapshotter });

  const records: string[] = [];
  for (const [at, client] of clients.entries()) {
    const keys = (await collect(client.snapshots.List({ snapshotter: SNAPSHOTTER }))).flatMap(({ info }) =>
      info.map(({ name }) => name),
    );
    const digests = (await collect(client.content.List({}))).flatMap(({ info }) => info.map(({ digest }) => digest));
    const { blobs = new Set<string>(), snapshots = new Set<string>() } = needs[at] ?? {};
    records.push(
      ...differing('record of snapshot', keys, snapshots),
      ...differing('record of blob', digests, blobs),
      ...(await client.leases.List({})).leases.map(({ id }) => `lease ${id}`),
    );
  }
  const wanted = new Set(needs.flatMap(({ blobs }) => [...blobs].map((digest) => digest.replace(':', '/'))));
  const look = (): string[] => [
    ...differing('blob', blobFiles(daemon.root), wanted),
    ...differing('folder of snapshot', names(daemon.root, 'snapshots/overlayfs/snapshots'), folders),
    ...names(daemon.root, 'content/ingest').map((name) => `ingest ${name}`),
    ...names(daemon.root, 'snapshots/overlayfs/ahead').map((name) => `layer unpacked ahead ${name}`),
    ...names(daemon.root, 'snapshots/native/snapshots').map((name) => `folder of the native snapshotter ${name}`),
    ...names(daemon.root, 'checkpoints').map((name) => `checkpoint ${name}`),
    ...names(daemon.state, 'mounts').map((name) => `temporary mount ${name}`),
  ];
  const deadline = performance.now() + SETTLE_MS;
  for (;;) {
    const found = [...needs.flatMap(({ problems }) => problems), ...records, ...look()];
    if (found.length === 0 || performance.now() > deadline) return found;
    await sleep(50);
  }
}

function differing(what: string, there: readonly string[], wanted: ReadonlySet<string>): string[] {
  return [
    ...there.filter((name) => !wanted.has(name)).map((name) => `${what} ${name}: no image needs it`),
    ...[...wanted].filter((name) => !there.includes(name)).map((name) => `${what} ${name}: needed, and not there`),
  ];
}

/** `sha256/<hex>`, and whatever else lies there. */
function blobFiles(root: string): string[] {
  return names(root, 'content/blobs').flatMap((algorithm) =>
    names(root, 'content/blobs', algorithm).map((name) => `${algorithm}/${name}`),
  );
}

function names(...parts: string[]): string[] {
  try {
    return readdirSync(path.join(...parts));
  } catch {
    return []; // not made yet
  }
}
