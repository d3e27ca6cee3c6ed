// What every service must refuse, with containerd's codes and texts.
import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { SPEC_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { json, RUNTIME, uniqueId } from '../harness/container.ts';
import { fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { rawCall } from '../harness/raw.ts';

const DIGEST = sha256(Buffer.from('nothing'));
/** Code of a call that was never answered. */
const DEADLINE = 4;
const KEEP = { 'containerd.io/gc.root': 'now' };

/** One call of each service that works in a namespace. */
const CALLS: Readonly<Record<string, (client: Client) => Promise<unknown> | AsyncIterable<unknown>>> = {
  'containers.List': (client) => client.containers.List({}),
  'containers.Get': (client) => client.containers.Get({ id: 'x' }),
  'images.List': (client) => client.images.List({}),
  'images.Get': (client) => client.images.Get({ name: 'x' }),
  'content.Info': (client) => client.content.Info({ digest: DIGEST }),
  'content.List': (client) => client.content.List({}),
  'content.Read': (client) => client.content.Read({ digest: DIGEST }),
  'content.ListStatuses': (client) => client.content.ListStatuses({}),
  'snapshots.Stat': (client) => client.snapshots.Stat({ snapshotter: 'overlayfs', key: 'x' }),
  'leases.Create': (client) => client.leases.Create({}),
  'leases.List': (client) => client.leases.List({}),
  'tasks.List': (client) => client.tasks.List({}),
  'tasks.Get': (client) => client.tasks.Get({ container_id: 'x' }),
  'events.Publish': (client) =>
    client.events.Publish({ topic: '/a/b', event: { type_url: 'x', value: Buffer.alloc(0) } }),
};

describe('bad input', () => {
  const t = useDaemon();

  for (const [name, call] of Object.entries(CALLS)) {
    it(`${name} demands a namespace, and a valid one`, async () => {
      await fails(call(t.client.with({ namespace: '' })), 'failed precondition', /namespace is required/);
      for (const namespace of ['not valid', 'a..b', '-', 'x'.repeat(77), '../../etc']) {
        await fails(call(t.client.with({ namespace })), 'invalid argument');
      }
    });
  }

  it('methods have one name, and no other reaches them', async () => {
    const own = '/containerd.services.version.v1.Version/Version';
    assert.equal((await rawCall(t.daemon.address, own)).code, 0);
    const paths = ['*', '/', '//', `/${own}`, `${own}/`, `${own}?x=1`, `${own}#x`, `${own};x`, `${own} `];
    // Debian's containerd adds the slash, and never answers the long one.
    if (t.target === 'davit') paths.push(own.slice(1), `/${'x'.repeat(100_000)}`);
    paths.push(`/x/..${own}`, own.replace('V', '%56'), own.toLowerCase(), own.replace('/V', '//V'), `http://x${own}`);
    for (const path of [...paths, `${own}\u00e9`]) {
      const { code, message } = await rawCall(t.daemon.address, path);
      assert.ok(code !== 0 && code !== DEADLINE, `${path.slice(0, 80)}: ${code} ${message}`);
    }
    assert.equal((await rawCall(t.daemon.address, own)).code, 0);
  });

  it('ids that would leave their folder are refused everywhere', async () => {
    for (const id of ['..', '../x', 'a/b', '.', '/', 'a\0b', '%2e%2e', 'é']) {
      const container = { id, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) };
      await fails(t.client.containers.Create({ container }), 'invalid argument');
      await assert.rejects(t.client.tasks.Create({ container_id: id }));
      await assert.rejects(t.client.tasks.Exec({ container_id: id, exec_id: id }));
    }
  });

  it('labels have a limit', async () => {
    const long = { k: 'v'.repeat(4096) };
    const fits = { k: 'v'.repeat(4095), ...KEEP };
    await fails(
      t.client.images.Create({
        image: { name: 'long', target: { media_type: 'x', digest: DIGEST, size: '1' }, labels: long },
      }),
      'invalid argument',
      /4096/,
    );
    await fails(
      t.client.snapshots.Prepare({ snapshotter: 'overlayfs', key: 'long', labels: long }),
      'invalid argument',
      /4096/,
    );
    await t.client.snapshots.Prepare({ snapshotter: 'overlayfs', key: 'fits', labels: fits });
    const { info } = await t.client.snapshots.Stat({ snapshotter: 'overlayfs', key: 'fits' });
    assert.deepEqual(info?.labels, fits);
  });

  it('labels have a name', async () => {
    const request = { container: { id: uniqueId(), runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) } };
    const nameless = { container: { ...request.container, labels: { '': 'x' } } };
    await assert.rejects(t.client.containers.Create(nameless), /key/);
    await assert.rejects(t.client.containers.Get({ id: request.container.id }), /not found/);
  });

  it('labels may be called anything', async () => {
    const labels = { ['__proto__']: 'a', constructor: 'b', toString: 'c', 'a b': 'd', ü: 'e' };
    const id = uniqueId();
    await t.client.containers.Create({
      container: { id, labels, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) },
    });
    const { container } = await t.client.containers.Get({ id });
    assert.deepEqual(Object.entries(container?.labels ?? {}).sort(), Object.entries(labels).sort());
    const filtered = await t.client.containers.List({ filters: ['labels.constructor==b'] });
    assert.ok(filtered.containers.some((other) => other.id === id));
    await t.client.containers.Delete({ id });
  });

  it('ten thousand labels do no harm', async () => {
    const id = uniqueId();
    const labels = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`label-${index}`, 'x']));
    await t.client.containers.Create({
      container: { id, labels, runtime: { name: RUNTIME }, spec: json(SPEC_URL, {}) },
    });
    const { container } = await t.client.containers.Get({ id });
    assert.equal(Object.keys(container?.labels ?? {}).length, 10_000);
    await t.client.containers.Delete({ id });
  });

  it('a filter cannot freeze the daemon', async () => {
    await t.client.containers.Create({
      container: {
        id: 'regular',
        labels: { long: `${'a'.repeat(2000)}!` },
        runtime: { name: RUNTIME },
        spec: json(SPEC_URL, {}),
      },
    });
    const filters = ['labels.long~="^(a+)+$"'];
    const { containers } = await t.client.containers.List({ filters }, { timeout: 20_000 });
    assert.deepEqual(containers, []);
    await t.client.containers.Delete({ id: 'regular' });
  });

  it('digests are checked before they become paths', async () => {
    for (const digest of [
      '',
      'sha256',
      'sha256:',
      `sha256:${'A'.repeat(64)}`,
      'sha256:abc',
      'md5:d41d8cd98f00b204e9800998ecf8427e',
      '../../x:abc',
      `sha256:${'0'.repeat(63)}/`,
    ]) {
      await fails(t.client.content.Info({ digest }), 'invalid argument').catch((error: unknown) => {
        // An unknown algorithm may as well be content that is not there.
        if (!digest.startsWith('md5')) throw error;
      });
      await fails(t.client.content.Delete({ digest }), 'invalid argument').catch((error: unknown) => {
        if (!digest.startsWith('md5')) throw error;
      });
    }
  });

  it('a snapshot key is a name, not a path', async () => {
    const key = '../../../../tmp/davit-key';
    await t.client.snapshots.Prepare({ snapshotter: 'native', key, labels: KEEP });
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'native', key });
    assert.ok(mounts[0]?.source.startsWith(t.daemon.directory));
    await t.client.snapshots.Remove({ snapshotter: 'native', key });
  });
});
