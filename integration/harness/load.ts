// A load that writes everything a daemon keeps, and knows what it was told was done.
import { randomBytes, randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { SPEC_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { withLease } from '../../client/lease.ts';
import { json, run, RUNTIME } from './container.ts';
import { makeLayer, sha256, type TestImage } from './image.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { descriptor, putBlob } from './store.ts';

/** What marks a thing as wanted by itself. */
export const ROOTED = { 'containerd.io/gc.root': 'now' };

/** Name of a file in a layer, and the digest of its bytes. */
export type Files = ReadonlyMap<string, string>;

export interface Ledgers {
  /** Blobs that a label keeps: size by digest. */
  readonly blobs: Ledger<number>;
  /** Images: digest of the target, which refers to a child. */
  readonly images: Ledger<{ readonly target: string; readonly child: string }>;
  /** Leases and containers: their label `state`. */
  readonly leases: Ledger<string>;
  readonly containers: Ledger<string>;
  readonly active: Ledger<true>;
  /** Committed snapshots: their files. */
  readonly committed: Ledger<Files>;
}

export function createLedgers(): Ledgers {
  return {
    blobs: createLedger(),
    images: createLedger(),
    leases: createLedger(),
    containers: createLedger(),
    active: createLedger(),
    committed: createLedger(),
  };
}

const LARGEST_BLOB = 400_000;
const KEPT_EXTENT = 3;

/**
 * Runs until `stopped` says so; rejects when the daemon refuses what it must not. `image` must be unpacked.
 * Every second thing that a worker made is taken away again.
 */
export async function writeEverything(
  client: Client,
  image: TestImage,
  ledgers: Ledgers,
  stopped: () => boolean,
): Promise<void> {
  const { blobs, images, leases, containers, active, committed } = ledgers;
  let made = 0;
  const name = (what: string): string => `${what}-${made++}`;
  const chance = (): boolean => randomInt(2) === 0;

  async function content(): Promise<void> {
    const bytes = randomBytes(randomInt(1, LARGEST_BLOB));
    const digest = sha256(bytes);
    // One that nothing keeps, for the collector.
    if (randomInt(4) === 0) return void (await withLease(client, (leased) => putBlob(leased, bytes)));
    await blobs.record(digest, bytes.length, () => putBlob(client, bytes, ROOTED));
    if (chance()) await blobs.record(digest, undefined, () => client.content.Delete({ digest }));
  }

  async function anImage(): Promise<void> {
    const key = name('docker.io/test/image');
    await withLease(client, async (leased) => {
      const child = await putBlob(leased, randomBytes(1000));
      const bytes = randomBytes(500);
      const target = await putBlob(leased, bytes, { 'containerd.io/gc.ref.content.child': child });
      await images.record(key, { target, child }, () =>
        leased.images.Create({
          image: { name: key, target: descriptor({ mediaType: 'x', digest: target, size: bytes.length }) },
        }),
      );
    });
    if (chance()) await images.record(key, undefined, () => client.images.Delete({ name: key }));
  }

  async function records(): Promise<void> {
    const lease = name('lease');
    await leases.record(lease, 'made', () => client.leases.Create({ id: lease, labels: { state: 'made' } }));
    const id = name('container');
    const container = { id, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) };
    await containers.record(id, 'made', () =>
      client.containers.Create({ container: { ...container, labels: { state: 'made' } } }),
    );
    await containers.record(id, 'changed', () =>
      client.containers.Update({
        container: { ...container, labels: { state: 'changed' } },
        update_mask: { paths: ['labels.state'] },
      }),
    );
    if (chance()) await containers.record(id, undefined, () => client.containers.Delete({ id }));
    if (chance()) await leases.record(lease, undefined, () => client.leases.Delete({ id: lease }));
  }

  async function snapshot(): Promise<void> {
    const key = name('active');
    await active.record(key, true, async () => {
      const { mounts } = await client.snapshots.Prepare({ snapshotter: 'overlayfs', key, labels: ROOTED });
      writeFileSync(path.join(mounts[0]?.source ?? '', 'note'), randomBytes(5000));
    });
    if (chance()) await active.record(key, undefined, () => client.snapshots.Remove({ snapshotter: 'overlayfs', key }));
  }

  async function layer(): Promise<void> {
    const contents = new Map<string, Buffer>();
    for (let index = 0; index < 20; index += 1) contents.set(`file-${index}`, randomBytes(randomInt(1, 40_000)));
    const archive = makeLayer([...contents].map(([file, content]) => ({ name: file, content })));
    const key = name('layer');
    await withLease(client, async (leased) => {
      await putBlob(leased, archive.bytes);
      const extract = `extract-${key}`;
      const { mounts } = await leased.snapshots.Prepare({ snapshotter: 'overlayfs', key: extract });
      await leased.diff.Apply({ diff: descriptor(archive.descriptor), mounts });
      const files = new Map([...contents].map(([file, content]) => [file, sha256(content)]));
      await committed.record(key, files, () =>
        leased.snapshots.Commit({ snapshotter: 'overlayfs', key: extract, name: key, labels: ROOTED }),
      );
    });
    if (randomInt(KEPT_EXTENT) === 0)
      await committed.record(key, undefined, () => client.snapshots.Remove({ snapshotter: 'overlayfs', key }));
  }

  const repeat = async (work: () => Promise<unknown>): Promise<void> => {
    while (!stopped()) await work();
  };
  await Promise.all([
    repeat(content),
    repeat(content),
    repeat(anImage),
    repeat(records),
    repeat(snapshot),
    repeat(layer),
    repeat(() => run(client, image, ['true'])),
  ]);
}
