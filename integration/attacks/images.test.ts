// Images that mean more than files: labels that speak to the daemon, environments, checkpoints, layers that end early.
import { strict as assert } from 'node:assert';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { described, fakeRegistry, pullFrom, TYPES } from '../harness/fake-registry.ts';
import { createContainer, uniqueId } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxEntries, busyboxImage, makeImage, makeLayer } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';
import { putBlob, putImage } from '../harness/store.ts';
import { tar, type TarEntry } from '../harness/tar.ts';
import { REPOSITORY } from '../harness/target.ts';
import { createCanary } from './attacker.ts';
import { runInBackground } from './cli.ts';

const CHECKPOINT = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';

describe('attacks: images', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const busybox = busyboxImage();

  before(() => putImage(t.client, busybox));

  it('CVE-2026-53488: labels of an image do not speak to the daemon', async () => {
    const evil = {
      'containerd.io/restart.status': 'running',
      'containerd.io/restart.loguri': 'binary:///bin/touch?/tmp/evil',
      'containerd.io/restart.policy': 'always',
      'containerd.io/gc.root': 'now',
      'io.containerd.evil': 'x',
      'io.cri-containerd.kind': 'container',
      'io.davit/evil': 'x',
    };
    const layer = makeLayer(busyboxEntries());
    const image = makeImage('docker.io/attack/labels:latest', [layer], { Labels: { ...evil, innocent: 'yes' } });
    await putImage(t.client, image);
    const id = uniqueId('labels');
    const words = ['--address', t.daemon.address, '--namespace', t.client.namespace];
    const { status, stderr } = spawnSync(
      path.join(REPOSITORY, 'bin/davit'),
      [...words, 'containers', 'create', image.name, id],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr);
    const { labels } = present((await t.client.containers.Get({ id })).container);
    assert.equal(labels['innocent'], 'yes');
    for (const key of Object.keys(evil)) assert.ok(!(key in labels), `${key} was taken over`);
    await t.client.containers.Delete({ id });
  });

  it('CVE-2021-21334: no environment of a container is seen in another', async () => {
    const runs = Array.from({ length: 6 }, async (_, at) => {
      const flags = ['--env', `SECRET_${at}=${at}`, '--env', `OWN=${at}`];
      const { stdout } = await runInBackground(t.daemon, t.client, flags, busybox, ['env']);
      const seen = stdout.split('\n').filter((line) => /^(SECRET|OWN)/.test(line));
      assert.deepEqual(seen.toSorted(), [`OWN=${at}`, `SECRET_${at}=${at}`]);
    });
    await Promise.all(runs);
  });

  it('CVE-2026-53489: a checkpoint has no links to files of the host', async function () {
    davitOnly(this, t.target, 'containerd 1.6 follows them');
    const canary = createCanary();
    const id = await createContainer(t.client, busybox, ['true']);
    const { mounts } = await t.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
    const cases: Readonly<Record<string, TarEntry[]>> = {
      'pages-1.img': [{ name: 'pages-1.img', type: 'symlink', target: canary.secret }],
      'container.log': [{ name: 'container.log', type: 'symlink', target: canary.secret }],
      'restore.log': [{ name: 'restore.log', type: 'symlink', target: canary.secret }],
      parent: [{ name: 'parent', type: 'directory' }],
      'core-1.img': [{ name: 'core-1.img', type: 'fifo' }],
      'inventory.img': [{ name: 'inventory.img', type: 'char', device: [1, 3] }],
    };
    for (const [name, entries] of Object.entries(cases)) {
      const bytes = tar([{ name: 'stats-dump', content: 'x' }, ...entries]);
      const digest = await putBlob(t.client, bytes, { 'containerd.io/gc.root': 'now' });
      const checkpoint = { media_type: CHECKPOINT, digest, size: String(bytes.length) };
      await fails(
        t.client.tasks.Create({ container_id: id, rootfs: mounts, checkpoint }),
        'invalid argument',
        new RegExp(`"${name}" is not a regular file`),
      );
      await t.client.content.Delete({ digest });
    }
    canary.check();
    canary.remove();
    await t.client.containers.Delete({ id });
    await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: id });
  });

  it('CVE-2021-20291: a layer that ends early ends the pull', async function () {
    davitOnly(this, t.target, 'containerd 1.6 has no Transfer service');
    const whole = makeLayer([...busyboxEntries(), { name: 'fill', content: Buffer.alloc(300_000, 'fill') }]);
    for (const kept of [1, 100, whole.bytes.length >> 1, whole.bytes.length - 4]) {
      const bytes = whole.bytes.subarray(0, kept);
      const layer = { ...whole, bytes, descriptor: described(TYPES.layer, bytes) };
      const image = makeImage('x', [layer]);
      const documents = [...image.blobs].map(([digest, each]): [string, Buffer] => [
        digest === image.manifest.digest ? TYPES.manifest : 'application/octet-stream',
        each,
      ]);
      const registry = await fakeRegistry(documents);
      try {
        const client = t.inNewNamespace();
        await fails(pullFrom(client, registry.host), 'invalid argument', /end|tar|corrupt|truncated|incomplete/i);
        assert.deepEqual((await client.images.List({})).images, []);
        await eventually('no snapshot is left', async () => {
          const all = await collect(client.snapshots.List({ snapshotter: 'overlayfs' }));
          return all.every(({ info }) => info.length === 0);
        });
        assert.deepEqual((await client.leases.List({})).leases, []);
      } finally {
        await registry.close();
      }
    }
  });
});
