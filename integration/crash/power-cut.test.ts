// Power cuts: the disk is taken as it is at random moments under load, and a daemon is started on it.
//
// POWER_CUTS sets how many (default 4), POWER_SECONDS how long the load runs.
import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import { connect, type Client } from '../../client/connect.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { createDaemon, type Daemon } from '../harness/daemon.ts';
import { collect } from '../harness/expect.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { removeNamespaceCgroups, sweep } from '../harness/leftovers.ts';
import { createLedgers, ROOTED, writeEverything, type Files, type Ledgers } from '../harness/load.ts';
import type { Possible } from '../harness/ledger.ts';
import { createDisk, onAnotherBoot, powerRefused, type Cut, type Disk } from '../harness/power.ts';
import { chainId, getBlob, putImage } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const CUTS = Number(process.env['POWER_CUTS'] ?? 4);
const SECONDS = Number(process.env['POWER_SECONDS'] ?? CUTS * 1.5);

const snapshotter = 'overlayfs';

describe(`power is cut: ${CUTS} times`, function () {
  const namespace = `t-power-${process.pid}`;
  const image = busyboxImage();
  let disk: Disk;
  let folder: string;

  before(function () {
    const refused = targetOf(process.env) === 'davit' ? powerRefused() : 'davit only: the folders are its own';
    if (refused !== undefined) {
      process.stdout.write(`    not run: ${refused}\n`);
      this.skip();
    }
    disk = createDisk(512);
    folder = mkdtempSync('/tmp/davit-boot-');
  });

  after(() => {
    // Undefined when they were skipped.
    (disk as Disk | undefined)?.remove();
    if ((folder as string | undefined) !== undefined) rmSync(folder, { recursive: true });
  });

  /** A daemon on the disk, as on a start of the machine of its own. */
  function boot(): Daemon {
    const bootFile = path.join(folder, randomUUID());
    writeFileSync(bootFile, `${randomUUID()}\n`);
    return createDaemon({ root: path.join(disk.mountPoint, 'root'), wrapper: onAnotherBoot(bootFile) });
  }

  it('the disk loses what was not synced, and keeps what was', async () => {
    const [synced, lost] = [path.join(disk.mountPoint, 'synced'), path.join(disk.mountPoint, 'lost')];
    writeFileSync(synced, 'synced', { flush: true });
    writeFileSync(lost, 'not synced');
    const cut = await disk.cut();
    assert.equal(readFileSync(lost, 'utf8'), 'not synced');
    disk.restore(cut);
    assert.equal(readFileSync(synced, 'utf8'), 'synced');
    assert.ok(!existsSync(lost) || readFileSync(lost, 'utf8') === '', 'an unsynced write must be lost');
  });

  it('all that was acknowledged is there, whole, and nothing else', async function () {
    this.timeout(120_000 + CUTS * 30_000);
    const ledgers = createLedgers();
    const cuts = await loadAndCut(ledgers);
    let checked = 0;
    for (const cut of cuts) {
      disk.restore(cut);
      const daemon = boot();
      try {
        await daemon.start();
        const client = connect(daemon.address, { namespace });
        try {
          checked += await check(client, ledgers, cut);
        } finally {
          client.close();
        }
        await daemon.stop();
      } catch (error) {
        await daemon.kill();
        process.stdout.write(`--- ${cut.name}: the daemon's log\n${daemon.log()}---\n`);
        throw error;
      } finally {
        daemon.remove();
        disk.unmount();
        disk.drop(cut);
      }
    }
    console.log(`      ${checked} things checked after ${cuts.length} cuts`);
  });

  /** Runs the load, with cuts at random moments. */
  async function loadAndCut(ledgers: Ledgers): Promise<Cut[]> {
    const daemon = boot();
    const cuts: Cut[] = [];
    try {
      await daemon.start();
      const client = connect(daemon.address, { namespace });
      await putImage(client, image);
      let over = false;
      const load = writeEverything(client, image, ledgers, () => over);
      load.catch(() => (over = true));
      const moments = Array.from({ length: CUTS }, () => Math.random() * SECONDS * 1000).sort((a, b) => a - b);
      const began = performance.now();
      for (const moment of moments) {
        await sleep(Math.max(0, began + moment - performance.now()));
        cuts.push(await disk.cut());
      }
      over = true;
      await load;
      client.close();
    } catch (error) {
      process.stdout.write(`--- the daemon's log under load\n${daemon.log()}---\n`);
      throw error;
    } finally {
      await daemon.kill();
      sweep({ ...daemon, namespaces: [namespace], pid: undefined });
      removeNamespaceCgroups([namespace]);
      daemon.remove();
    }
    return cuts;
  }

  async function check(client: Client, ledgers: Ledgers, cut: Cut): Promise<number> {
    // The sweeps of the first collection.
    await collectGarbage(client);
    await client.snapshots.Cleanup({ snapshotter });

    const blobs = new Map(
      (await collect(client.content.List({}))).flatMap(({ info }) => info).map((b) => [b.digest, b]),
    );
    for (const [digest, { size }] of blobs) {
      const bytes = await getBlob(client, digest);
      assert.deepEqual([sha256(bytes), String(bytes.length)], [digest, size], 'bytes of a blob');
    }
    const images = new Map((await client.images.List({})).images.map((i) => [i.name, i.target?.digest]));
    const leases = new Map((await client.leases.List({})).leases.map((l) => [l.id, l.labels['state']]));
    const containers = new Map((await client.containers.List({})).containers.map((c) => [c.id, c.labels['state']]));
    const snapshots = new Map(
      (await collect(client.snapshots.List({ snapshotter }))).flatMap(({ info }) => info).map((s) => [s.name, s]),
    );

    let checked = blobs.size;
    const compare = <T>(what: string, found: ReadonlyMap<string, T>, possible: ReadonlyMap<string, Possible<T>>) => {
      for (const [key, values] of possible) {
        checked += 1;
        assert.ok(
          values.includes(found.get(key)),
          `${what} ${key}: ${String(found.get(key))}, not of ${String(values)}`,
        );
      }
    };
    const { from, to } = cut;
    const sizes = new Map([...blobs].map(([digest, { size }]) => [digest, Number(size)]));
    compare('blob', sizes, ledgers.blobs.at(from, to));
    compare('lease', leases, ledgers.leases.at(from, to));
    compare('container', containers, ledgers.containers.at(from, to));
    const wanted = new Set<string>([...blobs].filter(([, b]) => b.labels['containerd.io/gc.root']).map(([d]) => d));
    for (const [name, values] of ledgers.images.at(from, to)) {
      checked += 1;
      const target = images.get(name);
      const value = values.find((one) => one?.target === target);
      assert.ok(
        values.some((one) => one?.target === target),
        `image ${name}`,
      );
      if (value === undefined) continue;
      assert.ok(blobs.has(value.target) && blobs.has(value.child), `content of image ${name}`);
      wanted.add(value.target).add(value.child);
    }
    const active = new Map(
      [...snapshots].filter(([name]) => name.startsWith('active')).map(([name]) => [name, true as const]),
    );
    compare('active snapshot', active, ledgers.active.at(from, to));
    for (const name of active.keys()) {
      const { mounts } = await client.snapshots.Mounts({ snapshotter, key: name });
      assert.ok(existsSync(mounts[0]?.source ?? ''), `folder of active snapshot ${name}`);
    }
    for (const [name, values] of ledgers.committed.at(from, to)) {
      checked += 1;
      await compareCommitted(client, name, snapshots.has(name), values);
    }

    // The image that the load runs, written before the first cut.
    for (const digest of image.blobs.keys()) wanted.add(digest);
    const held = await leased(client, leases.keys(), 'content');
    for (const digest of blobs.keys())
      assert.ok(wanted.has(digest) || held.has(digest), `blob ${digest} is kept by nothing`);
    assert.deepEqual(filesOf('content/blobs/sha256'), [...blobs.keys()].map((digest) => digest.slice(7)).sort());
    // An ingest is on disk when its record is; its file comes with its first byte.
    const { statuses } = await client.content.ListStatuses({});
    assert.ok(filesOf('content/ingest').length <= statuses.length, 'files of ingests');
    assert.equal(filesOf('snapshots/overlayfs/snapshots').length, snapshots.size, 'folders of snapshots');
    await assertSnapshotsWanted(client, snapshots, leases.keys());
    return checked;
  }

  async function compareCommitted(
    client: Client,
    name: string,
    found: boolean,
    values: Possible<Files>,
  ): Promise<void> {
    if (!found) {
      assert.ok(values.includes(undefined), `committed snapshot ${name} is gone`);
      return;
    }
    const files = values.find((value) => value !== undefined);
    assert.ok(files !== undefined, `committed snapshot ${name} was removed, and is there`);
    const key = `view-${name}`;
    const { mounts } = await client.snapshots.View({ snapshotter, key, parent: name, labels: ROOTED });
    const source = mounts[0]?.source ?? '';
    for (const [file, digest] of files) {
      const bytes = readFileSync(path.join(source, file));
      assert.equal(sha256(bytes), digest, `${file} of committed snapshot ${name}: ${bytes.length} bytes`);
    }
    assert.equal(readdirSync(source).length, files.size);
    await client.snapshots.Remove({ snapshotter, key });
  }

  async function leased(client: Client, leases: Iterable<string>, type: string): Promise<Set<string>> {
    const found = new Set<string>();
    for (const id of leases)
      for (const resource of (await client.leases.ListResources({ id })).resources)
        if (resource.type === type) found.add(resource.id);
    return found;
  }

  /** Those that a label, a lease, a container or the image needs, with all that is below them, and no others. */
  async function assertSnapshotsWanted(
    client: Client,
    snapshots: ReadonlyMap<string, { readonly parent: string; readonly labels: Readonly<Record<string, string>> }>,
    leases: Iterable<string>,
  ): Promise<void> {
    const top = chainId(image.layers.map(({ diffId }) => diffId));
    assert.ok(snapshots.has(top), 'the unpacked image');
    const wanted = await leased(client, leases, `snapshots/${snapshotter}`);
    wanted.add(top);
    for (const { snapshot_key } of (await client.containers.List({})).containers) wanted.add(snapshot_key);
    for (const [name, { labels }] of snapshots) if (labels['containerd.io/gc.root']) wanted.add(name);
    for (const name of wanted) {
      const parent = snapshots.get(name)?.parent ?? '';
      if (parent !== '') wanted.add(parent);
    }
    for (const name of snapshots.keys()) assert.ok(wanted.has(name), `snapshot ${name} is kept by nothing`);
  }

  function filesOf(below: string): string[] {
    const directory = path.join(disk.mountPoint, 'root', below);
    mkdirSync(directory, { recursive: true });
    return readdirSync(directory).sort();
  }
});
