import assert from 'node:assert/strict';
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { fails } from '../lib/testing/failures.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSlices, scope, type Slices } from './testing/slices.ts';

async function blob(
  slices: Slices,
  text: string,
  labels: Record<string, string> = {},
  lease?: string,
): Promise<string> {
  await using writer = await slices.content.writer(scope('n', lease), { ref: `ref ${text}` });
  await writer.write(Buffer.from(text));
  return (await writer.commit({ labels: new Map(Object.entries(labels)) })).digest;
}

const target = (digest: string) => ({
  mediaType: 'application/x',
  digest,
  size: 1n,
  annotations: new Map<string, string>(),
});
const never = new AbortController().signal;

async function blobFiles(folder: string): Promise<string[]> {
  return (await readdir(path.join(folder, 'content', 'blobs', 'sha256'))).sort();
}

describe('garbage collection', () => {
  it('keeps what an image needs, and takes all of it with the image', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { images, content, gc, published } = slices;
    const layer = await blob(slices, 'layer');
    const manifest = await blob(slices, 'manifest', { 'containerd.io/gc.ref.content.l.0': layer });
    const loose = await blob(slices, 'loose');
    await images.create(scope('n'), { name: 'i', labels: new Map(), target: target(manifest) }, undefined);
    await gc.collect();
    assert.deepEqual(
      [layer, manifest, loose].map((digest) => content.has('n', digest)),
      [true, true, false],
    );
    assert.deepEqual(await blobFiles(folder.path), [layer, manifest].map((digest) => digest.slice(7)).sort());
    await images.delete(scope('n'), 'i', { sync: true, signal: never });
    assert.deepEqual(await blobFiles(folder.path), []);
    assert.equal(published.at(-1), 'n /images/delete i');
  });

  it('keeps what a lease holds until it expires', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { leases, content, gc } = slices;
    await leases.create(
      'n',
      'l',
      new Map([['containerd.io/gc.expire', new Date(Date.now() + 3_600_000).toISOString()]]),
    );
    const held = await blob(slices, 'held', {}, 'l');
    const open = await slices.content.writer(scope('n', 'l'), { ref: 'open' });
    await open.close();
    await gc.collect();
    assert.ok(content.has('n', held));
    assert.equal((await content.statuses('n', [])).length, 1);
    await leases.delete('n', 'l', true, never);
    assert.ok(!content.has('n', held));
    assert.equal((await content.statuses('n', [])).length, 0);
    assert.deepEqual(await readdir(path.join(folder.path, 'content', 'ingest')), []);
  });

  it('removes expired leases and images by itself when they expire', async function () {
    this.timeout(30_000);
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path, { gc: { startupDelay: 0 } });
    const { leases, images, content, gc, published } = slices;
    const soon = new Map([['containerd.io/gc.expire', new Date(Date.now() + 1500).toISOString()]]);
    await leases.create('n', 'l', soon);
    const held = await blob(slices, 'held', {}, 'l');
    await images.create(scope('n'), { name: 'i', labels: soon, target: target(held) }, undefined);
    await gc.collect();
    assert.ok(content.has('n', held));
    const told = (): boolean => published.includes('n /images/delete i');
    while (!told()) await sleep(50);
    assert.ok(!content.has('n', held));
    assert.deepEqual([leases.list('n', []).length, images.list('n', []).length], [0, 0]);
    // Nothing else happens after these.
    const later = new Map([['containerd.io/gc.expire', new Date(Date.now() + 300).toISOString()]]);
    await leases.create('n', 'late', later);
    await images.create(scope('n'), { name: 'late', labels: new Map(), target: target(held) }, undefined);
    while (leases.list('n', []).length > 0) await sleep(50);
    await images.update(scope('n'), { name: 'late', labels: later, target: target(held) }, ['labels'], undefined);
    while (images.list('n', []).length > 0) await sleep(50);
  });

  it('leaves an ingest alone while it is written, and a fresh one without a lease', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { leases, content, gc } = slices;
    await leases.create('n', 'l', new Map());
    const writer = await content.writer(scope('n', 'l'), { ref: 'r' });
    await writer.write(Buffer.from('half'));
    await (await content.writer(scope('n'), { ref: 'fresh' })).close();
    await leases.delete('n', 'l', true, never);
    await writer.write(Buffer.from(' and half'));
    const refs = async () => (await content.statuses('n', [])).map(({ ref }) => ref);
    assert.deepEqual(await refs(), ['fresh', 'r']);
    await fails(() => writer.commit({}), 'not found', 'lease "l" does not exist: not found');
    await gc.collect();
    assert.deepEqual(await refs(), ['fresh']);
    assert.deepEqual(await blobFiles(folder.path), []);
  });

  it('never takes a blob that is being committed, whatever runs beside it', async function () {
    this.timeout(30_000);
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path, { gc: { startupDelay: 0, pauseThreshold: 0.5 } });
    const { leases, content, gc } = slices;
    await leases.create('n', 'l', new Map());
    const stop = new AbortController();
    const collecting = (async () => {
      while (!stop.signal.aborted) await gc.collect();
    })();
    for (let round = 0; round < 30; round++) {
      // Committed and deleted in one namespace while another commits the same bytes.
      await Promise.all(
        ['n', 'm'].map(async (namespace) => {
          const lease = namespace === 'n' ? 'l' : undefined;
          await using writer = await content.writer(scope(namespace, lease), { ref: `r${round}` });
          await writer.write(Buffer.from(`blob ${round}`));
          await writer.commit({});
          if (namespace === 'm') await content.delete(scope('m'), digestOf(`blob ${round}`)).catch(() => undefined);
        }),
      );
    }
    stop.abort();
    await collecting;
    for (let round = 0; round < 30; round++) await access(content.path('n', digestOf(`blob ${round}`)));
    assert.deepEqual(slices.logged, []);
  });

  it('runs after deletions by itself, and rejects waiters whose call is over', async function () {
    this.timeout(10_000);
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path, { gc: { startupDelay: 0, deletionThreshold: 2 } });
    const { content, gc } = slices;
    await gc.collect();
    const kept = await blob(slices, 'kept', {
      'containerd.io/gc.root': '1',
      'containerd.io/gc.ref.content': digestOf('child'),
    });
    const child = await blob(slices, 'child');
    const aborted = new AbortController();
    const waiting = gc.collect(aborted.signal);
    aborted.abort(new Error('client went away'));
    await assert.rejects(waiting, /client went away/);
    await gc.collect();
    assert.ok(content.has('n', child));
    await content.delete(scope('n'), kept);
    for (let waited = 0; content.has('n', child) && waited < 6000; waited += 20) await sleep(20);
    assert.ok(!content.has('n', child));
  });

  it('survives a restart in the middle', async () => {
    await using folder = await temporaryFolder();
    {
      await using slices = await openSlices(folder.path);
      await blob(slices, 'loose');
    }
    await using slices = await openSlices(folder.path);
    await slices.gc.collect();
    assert.deepEqual(await blobFiles(folder.path), []);
    assert.deepEqual(slices.content.list('n', []), []);
  });
});
