// version, health, introspection, and the edge itself.
import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { rawCall } from '../harness/raw.ts';

const OK = 0;
const UNIMPLEMENTED = 12;

describe('version, health and introspection', () => {
  const t = useDaemon();

  it('tells version and revision', async () => {
    const { version } = await t.client.version.Version({});
    assert.match(version, /^v?\d+\.\d+/);
  });

  it('is healthy: overall, and not for a service that it does not know', async () => {
    const { code, response } = await rawCall(t.daemon.address, '/grpc.health.v1.Health/Check');
    assert.equal(code, OK);
    assert.deepEqual(response, Buffer.from([8, 1]));
  });

  it('needs no namespace for what belongs to none', async () => {
    const free = t.client.with({ namespace: '' });
    await free.version.Version({});
    await free.introspection.Server({});
    await free.introspection.Plugins({});
    await free.namespaces.List({});
  });

  it('has a UUID that stays', async () => {
    const first = await t.client.introspection.Server({});
    const second = await t.client.introspection.Server({});
    assert.match(first.uuid, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    assert.equal(first.uuid, second.uuid);
  });

  it('tells its pid', async function () {
    davitOnly(this, t.target, 'Server.pid came with 2.0');
    const { pid, pidns } = await t.client.introspection.Server({});
    assert.equal(Number(pid), t.daemon.pid);
    assert.notEqual(pidns, '0');
  });

  it('lists its plugins, with snapshotters and platforms', async () => {
    const { plugins } = await t.client.introspection.Plugins({});
    const ids = plugins.map(({ type, id }) => `${type}.${id}`);
    for (const id of [
      'io.containerd.content.v1.content',
      'io.containerd.snapshotter.v1.overlayfs',
      'io.containerd.snapshotter.v1.native',
      'io.containerd.differ.v1.walking',
      'io.containerd.gc.v1.scheduler',
      'io.containerd.runtime.v2.task',
      'io.containerd.grpc.v1.tasks',
    ]) {
      assert.ok(ids.includes(id), `${id} in ${ids.join(' ')}`);
    }
    const overlayfs = present(plugins.find(({ id }) => id === 'overlayfs'));
    assert.equal(overlayfs.platforms[0]?.os, 'linux');
    assert.equal(overlayfs.init_err, null);
    assert.ok(present(overlayfs.exports['root']).startsWith(t.daemon.root));
  });

  it('filters plugins', async () => {
    const { plugins } = await t.client.introspection.Plugins({
      filters: ['type==io.containerd.snapshotter.v1,id==native'],
    });
    assert.deepEqual(
      plugins.map(({ id }) => id),
      ['native'],
    );
    await fails(t.client.introspection.Plugins({ filters: ['type=='] }), 'invalid argument');
  });

  it('answers Unimplemented to unknown methods and services', async () => {
    for (const path of ['/containerd.services.version.v1.Version/Nothing', '/no.such.Service/Method']) {
      assert.equal((await rawCall(t.daemon.address, path)).code, UNIMPLEMENTED, path);
    }
  });

  it('refuses bytes that are no message, and stays up', async () => {
    const { code } = await rawCall(
      t.daemon.address,
      '/containerd.services.images.v1.Images/Get',
      Buffer.from([0xff, 0xff, 0xff]),
      {
        'containerd-namespace': t.client.namespace,
      },
    );
    assert.notEqual(code, OK);
    await t.client.version.Version({});
  });

  it('refuses a message above its limit, and stays up', async () => {
    const big = Buffer.alloc(17 * 1024 * 1024);
    const { code } = await rawCall(t.daemon.address, '/containerd.services.images.v1.Images/Get', big);
    assert.equal(code, 8);
    await t.client.version.Version({});
  });

  it('ends a call when its deadline passes', async () => {
    const call = t.client.events.Subscribe({}, { timeout: 200 });
    await fails(call, 'deadline exceeded');
  });
});
