// Nothing left of something: disk, inodes, descriptors, processes. Errors are clear, and when there is
// something again, all goes on without a restart.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { after, afterEach, before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from '../../client/connect.ts';
import { run, startContainer, removeContainer } from '../harness/container.ts';
import { eventually, fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { createSmallDisk } from '../harness/small-disk.ts';
import { getBlob, putBlob, putImage, unpack } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const davit = targetOf(process.env) === 'davit';
const snapshotter = 'overlayfs';

(davit ? describe : describe.skip)('the disk is full', () => {
  const disk = createSmallDisk(48, 4000);
  before(() => disk.mount());
  const t = useDaemon({ root: `${disk.mountPoint}/root` });
  const image = busyboxImage();
  afterEach(() => disk.free());
  after(() => disk.remove());

  it('a content write fails with its cause, and goes on when there is room', async () => {
    const kept = await putBlob(t.client, randomBytes(100_000), ROOTED);
    disk.fill(2_000_000);
    const bytes = randomBytes(6_000_000);
    await fails(putBlob(t.client, bytes, ROOTED), 'resource exhausted', /no space left/i);
    assert.equal((await getBlob(t.client, kept)).length, 100_000, 'reads go on');
    await t.client.content.Abort({ ref: `put-${sha256(bytes)}` });
    await putBlob(t.client, randomBytes(500_000), ROOTED);
    disk.free();
    assert.deepEqual(await getBlob(t.client, await putBlob(t.client, bytes, ROOTED)), bytes);
  });

  it('an ingest that the full disk cut short can be resumed', async () => {
    const bytes = randomBytes(5_000_000);
    disk.fill(2_000_000);
    await fails(putBlob(t.client, bytes, ROOTED), 'resource exhausted');
    const { status } = await t.client.content.Status({ ref: `put-${sha256(bytes)}` });
    assert.ok(Number(status?.offset ?? 0) <= 2_000_000);
    disk.free();
    await putBlob(t.client, bytes, ROOTED);
    assert.deepEqual(await getBlob(t.client, sha256(bytes)), bytes);
  });

  it('not a byte left: writes are refused, reads and deletes go on, nothing half-made stays', async () => {
    const lease = await t.client.leases.Create({ id: 'before' });
    assert.equal(lease.lease?.id, 'before');
    disk.fill();
    let refused = 0;
    for (let index = 0; index < 40; index += 1) {
      await t.client.leases
        .Create({ id: `lease-${index}`, labels: { fill: 'x'.repeat(4000) } })
        .catch((error: unknown) => {
          assert.match(String(error), /no space left.*resource exhausted/i);
          refused += 1;
        });
    }
    assert.ok(refused > 0, 'writing metadata must fail at some point');
    await fails(t.client.leases.Create({ id: 'last', labels: { fill: 'x'.repeat(4000) } }), 'resource exhausted');
    const { leases } = await t.client.leases.List({});
    assert.equal(leases.filter(({ id }) => id.startsWith('lease-')).length, 40 - refused);
    await fails(putBlob(t.client, randomBytes(10_000), ROOTED), 'resource exhausted');
    disk.free();
    await t.client.leases.Create({ id: 'last' });
    for (const { id } of (await t.client.leases.List({})).leases) await t.client.leases.Delete({ id, sync: true });
    await t.restart('kill');
    assert.deepEqual((await t.client.leases.List({})).leases, []);
  });

  it('a layer that does not fit is taken back, and fits later', async () => {
    await putImage(t.client, image);
    const { layers } = image;
    disk.fill(500_000);
    const key = 'too-large';
    const { mounts } = await t.client.snapshots.Prepare({ snapshotter, key, labels: ROOTED });
    const { mediaType, digest, size } = layers[0]?.descriptor ?? { mediaType: '', digest: '', size: 0 };
    await fails(
      t.client.diff.Apply({ diff: { media_type: mediaType, digest, size: String(size) }, mounts }),
      'resource exhausted',
      /no space left/i,
    );
    await t.client.snapshots.Remove({ snapshotter, key });
    disk.free();
    await unpack(t.client, image);
    assert.equal((await run(t.client, image, ['echo', 'fits'])).stdout, 'fits\n');
  });

  it('without inodes a snapshot is refused, and nothing of it stays', async () => {
    disk.fillInodes();
    await fails(t.client.snapshots.Prepare({ snapshotter, key: 'no-inode' }), 'resource exhausted', /no space left/i);
    await fails(t.client.snapshots.Stat({ snapshotter, key: 'no-inode' }), 'not found');
    await fails(putBlob(t.client, randomBytes(1000), ROOTED), 'resource exhausted', /no space left/i);
    disk.free();
    await t.client.snapshots.Prepare({ snapshotter, key: 'no-inode', labels: ROOTED });
    await t.client.snapshots.Remove({ snapshotter, key: 'no-inode' });
  });

  it('a daemon that is started on a full disk answers, and lets room be made', async () => {
    const digest = await putBlob(t.client, randomBytes(4_000_000), ROOTED);
    await t.restart('kill', () => {
      disk.fill();
      return Promise.resolve();
    });
    assert.equal((await getBlob(t.client, digest)).length, 4_000_000);
    await t.client.content.Delete({ digest });
    await t.client.leases.Create({ id: 'room' });
    await t.client.leases.Delete({ id: 'room', sync: true });
    await fails(t.client.content.Info({ digest }), 'not found');
    disk.free();
  });
});

(davit ? describe : describe.skip)('no descriptors are left', () => {
  const LIMIT = 160;
  const t = useDaemon({ wrapper: ['prlimit', `--nofile=${LIMIT}:${LIMIT}`] });
  const image = busyboxImage();
  const sockets: Socket[] = [];

  before(() => putImage(t.client, image));

  /** Connections until the daemon takes no more. */
  async function exhaust(): Promise<void> {
    for (let index = 0; index < LIMIT + 40; index += 1) {
      const socket = connectSocket(t.daemon.address);
      socket.on('error', () => undefined);
      sockets.push(socket);
    }
    await sleep(500);
  }
  function release(): void {
    for (const socket of sockets.splice(0)) socket.destroy();
  }
  const cpu = (): number => {
    const stat = readFileSync(`/proc/${t.daemon.pid ?? 0}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(fields[11]) + Number(fields[12]);
  };

  it('it goes on for those who are connected, says what is missing, and recovers', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    await exhaust();
    await t.client.version.Version({});
    const busy = cpu();
    await sleep(1000);
    console.log(`      ${cpu() - busy} clock ticks of a second while descriptors are out`);
    assert.ok(cpu() - busy < 50, 'it must not spin');
    await fails(putBlob(t.client, randomBytes(1000), ROOTED), 'resource exhausted', /too many open files/i);
    await assert.rejects(startContainer(t.client, image, ['true']), /too many open files/i);
    assert.equal((await t.client.tasks.List({})).tasks.length, 1);
    release();
    await eventually('it accepts again', async () => {
      using other = connect(t.daemon.address);
      try {
        await other.version.Version({}, { timeout: 1000 });
        return true;
      } catch {
        return false;
      }
    });
    assert.equal((await run(t.client, image, ['echo', 'again'])).stdout, 'again\n');
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
  });
});

(davit ? describe : describe.skip)('no processes are left', () => {
  const t = useDaemon();
  const image = busyboxImage();
  const group = `/sys/fs/cgroup/pids/davit-test-${process.pid}`;

  before(() => putImage(t.client, image));
  after(() => rmdirSync(group));

  it('a task is refused with the cause, nothing of it stays, and the next one starts', async () => {
    assert.equal((await run(t.client, image, ['true'])).status, 0);
    mkdirSync(group);
    writeFileSync(`${group}/cgroup.procs`, String(t.daemon.pid));
    writeFileSync(`${group}/pids.max`, readFileSync(`${group}/pids.current`));
    await assert.rejects(startContainer(t.client, image, ['true']), /resource temporarily unavailable/i);
    await t.client.version.Version({});
    writeFileSync(`${group}/pids.max`, 'max');
    assert.equal((await run(t.client, image, ['echo', 'again'])).stdout, 'again\n');
    await t.daemon.stop();
    await t.daemon.start();
  });
});

(davit ? describe : describe.skip)('no memory is left', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const image = busyboxImage();
  const group = `/sys/fs/cgroup/memory/davit-test-${process.pid}`;

  before(() => putImage(t.client, image));
  after(() => rmdirSync(group));

  it('a container that cannot have what it needs is refused with the cause, and nothing of it stays', async () => {
    const linux = { resources: { memory: { limit: 64 * 1024 } } };
    await assert.rejects(startContainer(t.client, image, ['sleep', '1000'], { linux }), /memory/i);
    assert.deepEqual((await t.client.tasks.List({})).tasks, []);
    assert.equal((await run(t.client, image, ['echo', 'again'])).stdout, 'again\n');
  });

  it('a daemon that is killed for want of it finds its containers again, and what it acknowledged', async () => {
    const id = await startContainer(t.client, image, ['sleep', '100000']);
    const { process: before } = await t.client.tasks.Get({ container_id: id });
    mkdirSync(group);
    writeFileSync(`${group}/cgroup.procs`, String(t.daemon.pid));
    writeFileSync(`${group}/memory.limit_in_bytes`, String(4 * 1024 * 1024));
    const leases: string[] = [];
    const fill = async (from: number): Promise<void> => {
      for (let index = 0; index < 5000; index += 1) {
        const lease = `lease-${from}-${index}`;
        await t.client.leases.Create({ id: lease, labels: { fill: 'x'.repeat(4000) } });
        leases.push(lease);
      }
    };
    const filling = Array.from({ length: 10 }, (_, from) => fill(from));
    for (const end of await Promise.allSettled(filling)) assert.equal(end.status, 'rejected');
    await t.daemon.ended();
    await t.restart('kill');
    console.log(`      killed after ${leases.length} leases`);
    const found = new Set((await t.client.leases.List({})).leases.map((lease) => lease.id));
    assert.ok(leases.every((lease) => found.has(lease)));
    const { process: again } = await t.client.tasks.Get({ container_id: id });
    assert.deepEqual([again?.status, again?.pid], [before?.status, before?.pid]);
    await Promise.all([...found].map((lease) => t.client.leases.Delete({ id: lease })));
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
  });
});
