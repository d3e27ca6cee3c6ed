// Proxy plugins: other daemons' snapshotters used as ours.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { connect } from '../../client/connect.ts';
import { withLease } from '../../client/lease.ts';
import { snapshotterSuite } from '../../services/snapshots/testing/suite.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { exec, removeContainer, startContainer } from '../harness/container.ts';
import { createDaemon, type Daemon } from '../harness/daemon.ts';
import { eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { putImage, unpack } from '../harness/store.ts';
import { targetOf, type Target } from '../harness/target.ts';
import { remoteSnapshotter } from './remote-snapshotter.ts';

/** What the other daemon has for us. */
async function kept(backend: Daemon): Promise<string[]> {
  using client = connect(backend.address, { namespace: 'davit' });
  const names: string[] = [];
  for await (const { info } of client.snapshots.List({ snapshotter: 'overlayfs' })) {
    names.push(...info.map(({ name }) => name));
  }
  return names;
}

describe('proxy plugins', () => {
  if (targetOf(process.env) === 'containerd') {
    process.stdout.write('    skipped: these tests put a davitd in front of a containerd themselves\n');
    return;
  }

  for (const target of ['containerd', 'davit'] satisfies Target[]) {
    describe(`a snapshotter of another ${target}`, () => {
      const backend = createDaemon({ target });
      const t = useDaemon({
        config: [
          '[proxy_plugins.foreign]',
          'type = "snapshot"',
          `address = ${JSON.stringify(backend.address)}`,
          'snapshotter = "overlayfs"',
          target === 'davit' ? 'capabilities = ["rebase"]' : '',
          '[proxy_plugins.foreign.exports]',
          'root = "/elsewhere"',
        ].join('\n'),
      });
      before('start the other daemon', () => backend.start());
      after('stop the other daemon', async () => {
        await backend.stop();
        backend.remove();
      });

      // containerd 1.6 removes files when it likes to.
      const davit = target === 'davit';
      snapshotterSuite('foreign', { rebase: davit, cleanup: davit, classified: true }, () => {
        const client = t.newConnection();
        return Promise.resolve({
          subject: remoteSnapshotter(client, 'foreign'),
          async makeLease(namespace) {
            const { lease } = await client.leases.Create({ id: randomBytes(8).toString('hex') }, { namespace });
            return lease?.id;
          },
          close: () => Promise.resolve(),
        });
      });

      it('is listed with its address', async () => {
        const { plugins } = await t.client.introspection.Plugins({ filters: ['id==foreign'] });
        assert.deepEqual(
          plugins.map(({ type, exports, capabilities }) => ({ type, exports, capabilities })),
          [
            {
              type: 'io.containerd.snapshotter.v1',
              exports: { root: '/elsewhere', address: backend.address },
              capabilities: target === 'davit' ? ['rebase'] : [],
            },
          ],
        );
      });

      it('holds images and containers, and nothing when they are gone', async () => {
        await eventually('what the suite left is gone', async () => (await kept(backend)).length === 0);
        const image = busyboxImage();
        await putImage(t.client, image);
        await withLease(t.client, async (leased) => {
          const top = await unpack(leased, image, 'foreign');
          const key = 'containerd.io/gc.ref.snapshot.foreign';
          const info = { digest: image.config.digest, labels: { [key]: top } };
          await leased.content.Update({ info, update_mask: { paths: [`labels.${key}`] } });
        });
        await collectGarbage(t.client);
        const id = await startContainer(t.client, image, ['sleep', '1000'], { snapshotter: 'foreign' });
        assert.equal((await exec(t.client, id, ['sh', '-c', 'echo x >/f; cat /f'])).stdout, 'x\n');
        assert.ok((await kept(backend)).length >= 2);
        await t.client.tasks.Kill({ container_id: id, signal: 9 });
        await t.client.tasks.Wait({ container_id: id });
        await removeContainer(t.client, id, 'foreign');
        await t.client.images.Delete({ name: image.name, sync: true });
        await eventually('nothing is left there', async () => (await kept(backend)).length === 0);
      });

      it('that is away or silent holds up nobody, is named, and works again when it is back', async () => {
        const prepare = (key: string): Promise<unknown> => t.client.snapshots.Prepare({ snapshotter: 'foreign', key });
        await t.client.leases.Create({ id: 'held' });
        await backend.stop();
        await t.restart('kill');
        const away = new RegExp(
          `proxy plugin "foreign" at ${backend.address} cannot be reached \\(connect ENOENT.*; ` +
            'start it, or take \\[proxy_plugins.foreign\\] out of the configuration: unavailable$',
        );
        await fails(prepare('away'), 'unavailable', away);
        await t.client.snapshots.Prepare({ snapshotter: 'overlayfs', key: 'ours' });
        await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: 'ours' });
        await collectGarbage(t.client);
        await backend.start();
        await eventually('it works again', () =>
          prepare('back').then(
            () => true,
            () => false,
          ),
        );
        assert.equal((await kept(backend)).length, 1);
        await t.client.snapshots.Remove({ snapshotter: 'foreign', key: 'back' });
        await eventually('nothing is left there', async () => (await kept(backend)).length === 0);
      });
    });
  }

  describe('a silent one', () => {
    const folder = mkdtempSync('/tmp/davit-silent-');
    const address = path.join(folder, 's.sock');
    let mute: Server;
    before(() => {
      mute = createServer(() => undefined);
      return new Promise<void>((resolve) => mute.listen(address, resolve));
    });
    const t = useDaemon({
      config: [
        '[timeouts]',
        '"io.davit.timeout.proxy" = "700ms"',
        '[proxy_plugins.silent]',
        'type = "snapshot"',
        `address = ${JSON.stringify(address)}`,
        '[proxy_plugins.store]',
        'type = "content"',
        'address = "/run/none.sock"',
      ].join('\n'),
    });
    after(() => {
      mute.close();
      rmSync(folder, { recursive: true, force: true });
    });

    it('is given up at its deadline, and named', async () => {
      const prepare = (): Promise<unknown> => t.client.snapshots.Prepare({ snapshotter: 'silent', key: 'x' });
      const { message } = await fails(prepare(), 'deadline exceeded');
      assert.match(message, /^proxy plugin "silent" at .*s\.sock did not answer Prepare within 700 ms; start it/);
      await t.restart('stop');
      await collectGarbage(t.client);
      await t.client.snapshots.Prepare({ snapshotter: 'overlayfs', key: 'ours' });
      await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: 'ours' });
    });

    it('of a type that is not used is listed with the reason', async () => {
      const { plugins } = await t.client.introspection.Plugins({ filters: ['id==store'] });
      assert.match(present(plugins[0]?.init_err).message, /type "content" are not used by davit/);
    });
  });
});
