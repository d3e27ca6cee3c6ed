// Containers on the snapshotters that are not the default, and layers that are EROFS images.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import { createBtrfsDisk, withoutBtrfs } from '../../services/snapshots/testing/btrfs.ts';
import { withMounts } from '../../services/snapshots/testing/mounting.ts';
import { exec, removeContainer, run, startContainer } from '../harness/container.ts';
import { davitCommand } from '../harness/davit.ts';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { LAYERED_CHECK, layeredImage } from '../harness/image.ts';
import { getBlob, putBlob, putImage } from '../harness/store.ts';

const EROFS = 'application/vnd.erofs.layer.v1';
const missing = withoutBtrfs();

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
}
interface Config {
  readonly rootfs: { readonly diff_ids: readonly string[] };
}

for (const snapshotter of ['erofs', 'btrfs']) {
  describe(`containers on ${snapshotter}`, function () {
    const disk = createBtrfsDisk();
    const needed = snapshotter === 'btrfs';
    before('make a btrfs', function () {
      if (needed && missing !== undefined) {
        process.stdout.write(`    skipped: ${missing}\n`);
        this.skip();
      }
      if (needed) disk.mount();
    });
    const t = useDaemon({
      target: 'davit',
      config: `[plugins."io.containerd.snapshotter.v1.${snapshotter}"]\nroot_path = "${needed ? disk.path : ''}"\n`,
    });
    after('remove the btrfs', () => {
      if (needed && missing === undefined) disk.remove();
    });
    const image = layeredImage();

    before(() => putImage(t.client, image, snapshotter));

    it('see the layers as overlayfs shows them', async () => {
      const { status, stderr } = await run(t.client, image, ['sh', '-c', LAYERED_CHECK], { snapshotter });
      assert.equal(stderr, '');
      assert.equal(status, 0);
    });

    it('outlive a killed daemon, which serves them again and leaves nothing', async () => {
      const id = await startContainer(t.client, image, ['sleep', '1000'], { snapshotter });
      await exec(t.client, id, ['sh', '-c', 'echo written >/file']);
      for (const how of ['kill', 'stop'] as const) {
        await t.restart(how);
        assert.equal((await exec(t.client, id, ['sh', '-c', 'cat /file && test -e /bin/sh'])).stdout, 'written\n');
        const other = await run(t.client, image, ['sh', '-c', 'test ! -e /file'], { snapshotter });
        assert.equal(other.status, 0);
      }
      await t.client.tasks.Kill({ container_id: id, signal: 9 });
      await t.client.tasks.Wait({ container_id: id });
      assert.equal(await removeContainer(t.client, id, snapshotter), 137);
    });
  });
}

describe('layers that are EROFS images', () => {
  const config = '[plugins."io.containerd.differ.v1.erofs"]\nnative_layers = true\n';
  const trusting = useDaemon({ target: 'davit', config });
  const cautious = useDaemon({ target: 'davit' });
  const snapshotter = 'erofs';

  it('are made of a tree, and of what it changes, and are layers again', async () => {
    const { client } = trusting;
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: 'one' });
    await withMounts(mounts, async (root) => {
      await writeFile(path.join(root, 'kept'), 'kept');
      await writeFile(path.join(root, 'gone'), 'gone');
    });
    const base = present((await client.diff.Diff({ right: mounts, media_type: EROFS })).diff);
    await client.snapshots.Commit({ snapshotter, key: 'one', name: 'layer-one' });
    const below = await client.snapshots.View({ snapshotter, key: 'below', parent: 'layer-one' });
    const above = await client.snapshots.Prepare({ snapshotter, key: 'two', parent: 'layer-one' });
    await withMounts(above.mounts, async (root) => {
      execFileSync('rm', [path.join(root, 'gone')]);
      await writeFile(path.join(root, 'new'), 'new');
    });
    const request = { left: below.mounts, right: above.mounts, media_type: EROFS };
    const top = present((await client.diff.Diff(request)).diff);
    assert.equal(top.media_type, EROFS);
    assert.deepEqual((await client.diff.Diff(request)).diff, top);

    let parent = '';
    for (const diff of [base, top]) {
      const { mounts: empty } = await client.snapshots.Prepare({ snapshotter, key: 'applied', parent });
      assert.deepEqual((await client.diff.Apply({ diff, mounts: empty })).applied, diff);
      parent = diff.digest;
      await client.snapshots.Commit({ snapshotter, key: 'applied', name: parent });
    }
    const { mounts: seen } = await client.snapshots.View({ snapshotter, key: 'seen', parent });
    await withMounts(seen, async (root) => {
      assert.equal(execFileSync('ls', [root], { encoding: 'utf8' }), 'kept\nnew\n');
      assert.equal(await readFile(path.join(root, 'kept'), 'utf8'), 'kept');
    });
  });

  it('are what layers are converted to, with what they hide', async () => {
    const { client } = trusting;
    const image = layeredImage();
    await putImage(client, image);
    const davit = davitCommand(trusting);
    const name = 'docker.io/test/layered:erofs';
    davit.ok(['images', 'convert', '--erofs', image.name, name]);
    const { image: converted } = await client.images.Get({ name });
    const manifest = JSON.parse((await getBlob(client, converted?.target?.digest ?? '')).toString()) as Manifest;
    const config = JSON.parse((await getBlob(client, manifest.config.digest)).toString()) as Config;
    assert.deepEqual(
      manifest.layers.map(({ mediaType }) => mediaType),
      image.layers.map(() => EROFS),
    );
    assert.deepEqual(
      config.rootfs.diff_ids,
      manifest.layers.map(({ digest }) => digest),
    );
    const running = ['run', '--rm', '--snapshotter', snapshotter, name, 'converted', 'sh', '-c', LAYERED_CHECK];
    assert.equal(davit.ok(running), 'ok\n');
  });

  it('are refused for what they are not', async () => {
    const { client } = trusting;
    const apply = async (bytes: Buffer, mounts: Mount[], media_type = EROFS) => {
      const digest = await putBlob(client, bytes, { 'containerd.io/gc.root': 'now' });
      return client.diff.Apply({ diff: { media_type, digest, size: String(bytes.length) }, mounts });
    };
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: 'fresh' });
    const image = present((await client.diff.Diff({ right: mounts, media_type: EROFS })).diff);
    const whole = await getBlob(client, image.digest);
    await fails(apply(Buffer.from('no image'), mounts), 'invalid argument', /no EROFS image/);
    await fails(apply(whole.subarray(0, 2000), mounts), 'invalid argument', /ends early/);
    await fails(apply(whole, mounts, `${EROFS}+zstd`), 'not implemented', /no processor for media-type/);
    const other = await client.snapshots.Prepare({ snapshotter: 'overlayfs', key: 'fresh' });
    await fails(apply(whole, other.mounts), 'not implemented', /layers of snapshotter erofs only/);
  });

  it('are not given to the kernel unless the configuration says so', async () => {
    const { client } = cautious;
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: 'one' });
    const diff = present((await client.diff.Diff({ right: mounts, media_type: EROFS })).diff);
    await fails(client.diff.Apply({ diff, mounts }), 'not implemented', /set native_layers of plugin/);
  });
});
