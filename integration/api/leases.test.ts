// Leases, and what the collector takes and leaves.
import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { createContainer } from '../harness/container.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { chainId, putBlob, putImage, WRITE } from '../harness/store.ts';

const SNAPSHOTTER = 'overlayfs';

describe('leases', () => {
  const t = useDaemon();

  it('creates with an id, or invents one', async () => {
    const { lease } = await t.client.leases.Create({ id: 'mine', labels: { color: 'red' } });
    assert.equal(lease?.id, 'mine');
    assert.deepEqual(lease?.labels, { color: 'red' });
    assert.ok(Number(lease?.created_at?.seconds) > 1000);
    const { lease: invented } = await t.client.leases.Create({});
    assert.notEqual(present(invented).id, '');
    await fails(t.client.leases.Create({ id: 'mine' }), 'already exists');
    const { leases } = await t.client.leases.List({});
    assert.deepEqual(leases.map(({ id }) => id).sort(), ['mine', present(invented).id].sort());
    const filtered = await t.client.leases.List({ filters: ['labels.color==red'] });
    assert.deepEqual(
      filtered.leases.map(({ id }) => id),
      ['mine'],
    );
    await t.client.leases.Delete({ id: 'mine' });
    await fails(t.client.leases.Delete({ id: 'mine' }), 'not found', /lease "mine".*not found$/);
  });

  it('holds and lets go of resources', async () => {
    await t.client.leases.Create({ id: 'resources' });
    const digest = sha256(Buffer.from('resource'));
    const resources = [
      { id: digest, type: 'content' },
      { id: 'some-ref', type: 'ingests' },
      { id: 'some-key', type: 'snapshots/overlayfs' },
    ];
    for (const resource of resources) await t.client.leases.AddResource({ id: 'resources', resource });
    const listed = (await t.client.leases.ListResources({ id: 'resources' })).resources;
    assert.deepEqual(
      listed.map(({ id, type }) => `${type} ${id}`).sort(),
      resources.map(({ id, type }) => `${type} ${id}`).sort(),
    );
    await t.client.leases.DeleteResource({ id: 'resources', resource: present(resources[0]) });
    assert.equal((await t.client.leases.ListResources({ id: 'resources' })).resources.length, 2);
    await fails(
      t.client.leases.AddResource({ id: 'resources', resource: { id: 'x', type: 'nothing' } }),
      'not implemented',
    );
    await assert.rejects(t.client.leases.AddResource({ id: 'resources', resource: { id: '', type: 'images' } }));
    await fails(t.client.leases.AddResource({ id: 'unknown', resource: { id: digest, type: 'content' } }), 'not found');
    await fails(t.client.leases.ListResources({ id: 'unknown' }), 'not found');
    await t.client.leases.Delete({ id: 'resources', sync: true });
  });

  it('a lease that does not exist is refused where it would be used', async () => {
    const leased = t.client.with({ lease: 'unknown' });
    await fails(leased.snapshots.Prepare({ snapshotter: SNAPSHOTTER, key: 'unleased' }), 'not found', /lease/);
    await fails(t.client.snapshots.Stat({ snapshotter: SNAPSHOTTER, key: 'unleased' }), 'not found');
  });
});

describe('garbage collection', () => {
  const t = useDaemon();

  const hasBlob = (client: Client, digest: string): Promise<boolean> => exists(client.content.Info({ digest }));
  const hasSnapshot = (client: Client, key: string): Promise<boolean> =>
    exists(client.snapshots.Stat({ snapshotter: SNAPSHOTTER, key }));
  /** Runs a whole collection: what a synchronous delete waits for. */
  async function collectGarbage(client: Client): Promise<void> {
    const { lease } = await client.leases.Create({});
    await client.leases.Delete({ id: present(lease).id, sync: true });
  }

  it('takes what nothing refers to, and leaves what a root or a lease holds', async () => {
    const { lease } = await t.client.leases.Create({ id: 'holder' });
    const leased = t.client.with({ lease: present(lease).id });
    const loose = await putBlob(t.client, Buffer.from('loose'));
    const rooted = await putBlob(t.client, Buffer.from('rooted'), { 'containerd.io/gc.root': 'now' });
    const held = await putBlob(leased, Buffer.from('held'));
    await leased.snapshots.Prepare({ snapshotter: SNAPSHOTTER, key: 'held-snapshot' });
    await t.client.snapshots.Prepare({ snapshotter: SNAPSHOTTER, key: 'loose-snapshot' });
    await collectGarbage(t.client);
    assert.deepEqual(
      [await hasBlob(t.client, loose), await hasBlob(t.client, rooted), await hasBlob(t.client, held)],
      [false, true, true],
    );
    assert.deepEqual(
      [await hasSnapshot(t.client, 'loose-snapshot'), await hasSnapshot(t.client, 'held-snapshot')],
      [false, true],
    );
    await t.client.leases.Delete({ id: 'holder', sync: true });
    assert.deepEqual([await hasBlob(t.client, held), await hasSnapshot(t.client, 'held-snapshot')], [false, false]);
  });

  it('follows references between blobs and to snapshots', async () => {
    const client = t.inNewNamespace();
    const leaf = await putBlob(client, Buffer.from('leaf'));
    const named = await putBlob(client, Buffer.from('named'));
    await client.snapshots.Prepare({ snapshotter: SNAPSHOTTER, key: 'referred' });
    const middle = await putBlob(client, Buffer.from('middle'), {
      'containerd.io/gc.ref.content': leaf,
      'containerd.io/gc.ref.content.some-name': named,
      [`containerd.io/gc.ref.snapshot.${SNAPSHOTTER}`]: 'referred',
    });
    const root = await putBlob(client, Buffer.from('root'), {
      'containerd.io/gc.root': 'now',
      'containerd.io/gc.ref.content.0': middle,
    });
    await collectGarbage(client);
    for (const digest of [root, middle, leaf, named]) assert.ok(await hasBlob(client, digest), digest);
    assert.ok(await hasSnapshot(client, 'referred'));
    await client.content.Update({
      info: { digest: root, labels: {} },
      update_mask: { paths: ['labels.containerd.io/gc.root'] },
    });
    await collectGarbage(client);
    for (const digest of [root, middle, leaf, named]) assert.ok(!(await hasBlob(client, digest)), digest);
    assert.ok(!(await hasSnapshot(client, 'referred')));
  });

  it('keeps an image whole, and takes it whole with a synchronous delete', async () => {
    const client = t.inNewNamespace();
    const image = busyboxImage();
    await putImage(client, image);
    await collectGarbage(client);
    for (const digest of image.blobs.keys()) assert.ok(await hasBlob(client, digest), digest);
    const name = chainId(image.layers.map(({ diffId }) => diffId));
    assert.ok(await hasSnapshot(client, name));
    await client.images.Delete({ name: image.name, sync: true });
    for (const digest of image.blobs.keys()) assert.ok(!(await hasBlob(client, digest)), digest);
    assert.ok(!(await hasSnapshot(client, name)));
  });

  it('keeps what a container uses', async () => {
    const client = t.inNewNamespace();
    const image = busyboxImage();
    await putImage(client, image);
    const id = await createContainer(client, image, ['true']);
    await client.snapshots.Update({
      snapshotter: SNAPSHOTTER,
      info: { name: id },
      update_mask: { paths: ['labels.containerd.io/gc.root'] },
    });
    await client.images.Delete({ name: image.name, sync: true });
    assert.ok(await hasSnapshot(client, id));
    assert.ok(await hasSnapshot(client, chainId(image.layers.map(({ diffId }) => diffId))));
    await client.containers.Delete({ id });
    await collectGarbage(client);
    assert.ok(!(await hasSnapshot(client, id)));
  });

  it('ends leases that have expired', async () => {
    const past = new Date(Date.now() - 1000).toISOString();
    const { lease } = await t.client.leases.Create({ id: 'expired', labels: { 'containerd.io/gc.expire': past } });
    const digest = await putBlob(t.client.with({ lease: present(lease).id }), Buffer.from('expired')).catch(
      () => undefined,
    );
    await collectGarbage(t.client);
    await eventually(
      'the lease is gone',
      async () => (await t.client.leases.List({ filters: ['id==expired'] })).leases.length === 0,
    );
    if (digest !== undefined) assert.ok(!(await hasBlob(t.client, digest)));
  });

  it('does not follow references from a flat lease', async () => {
    const client = t.inNewNamespace();
    const leaf = await putBlob(client, Buffer.from('flat leaf'));
    await client.leases.Create({ id: 'flat', labels: { 'containerd.io/gc.flat': '1' } });
    const root = await putBlob(client.with({ lease: 'flat' }), Buffer.from('flat root'), {
      'containerd.io/gc.ref.content.0': leaf,
    });
    await collectGarbage(client);
    assert.deepEqual([await hasBlob(client, root), await hasBlob(client, leaf)], [true, false]);
  });

  it('leaves an ingest under a lease alone', async () => {
    await t.client.leases.Create({ id: 'ingesting' });
    const writer = t.client.with({ lease: 'ingesting' }).content.Write();
    await writer.send({ action: WRITE.WRITE, ref: 'leased-ingest', data: Buffer.from('part') });
    await writer.receive();
    await collectGarbage(t.client);
    assert.equal((await t.client.content.Status({ ref: 'leased-ingest' })).status?.offset, '4');
    writer.cancel();
    await t.client.leases.Delete({ id: 'ingesting' });
  });

  it('takes no part of another namespace', async () => {
    const other = t.inNewNamespace();
    const bytes = Buffer.from('in both namespaces');
    await putBlob(t.client, bytes);
    const digest = await putBlob(other, bytes, { 'containerd.io/gc.root': 'now' });
    await collectGarbage(t.client);
    assert.deepEqual([await hasBlob(t.client, digest), await hasBlob(other, digest)], [false, true]);
  });
});

async function exists(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}
