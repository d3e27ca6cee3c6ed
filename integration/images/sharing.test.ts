// An image that several namespaces pull: every blob travels once, every layer is applied once and is on disk once.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { run, uniqueId } from '../harness/container.ts';
import { eventually, fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxEntries, makeImage, makeLayer, type TestImage } from '../harness/image.ts';
import { mounted } from '../harness/mounted.ts';
import { davitOnly } from '../harness/only.ts';
import { seed, startRegistry, wireTo, type TestRegistry, type Wire } from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { pull as pullPlain } from '../harness/transfer.ts';

const snapshotter = 'overlayfs';
const KIBIBYTE = 1024;
const FAST = 32 * KIBIBYTE * KIBIBYTE;

for (const policy of ['shared', 'isolated'] as const) {
  describe(`one image in several namespaces, ${policy}`, () => {
    const t = useDaemon({
      logLevel: 'info',
      config: [
        '[metrics]',
        'address = "127.0.0.1:0"',
        '[plugins."io.containerd.metadata.v1.bolt"]',
        `content_sharing_policy = "${policy}"`,
        '',
      ].join('\n'),
    });
    const folder = mkdtempSync('/tmp/davit-sharing-');
    let registry: TestRegistry;
    let wire: Wire;

    before(async function () {
      davitOnly(this, t.target, 'containerd shares blobs that are there, and nothing else');
      registry = await startRegistry({ folder });
      wire = await wireTo(registry.host);
    });
    after(async () => {
      await wire?.close();
      await registry?.stop();
      rmSync(folder, { recursive: true, force: true });
    });

    /** Four layers; the upper ones change what the lower ones have, and the last implies directories of them and others. */
    const seedImage = async (name: string): Promise<TestImage> => {
      const noise = (): Buffer => randomBytes(300 * KIBIBYTE);
      const image = makeImage(name, [
        makeLayer([
          ...busyboxEntries(),
          { name: 'root/old', content: 'old' },
          { name: 'odd', type: 'directory', mode: 0o2711, uid: 12, gid: 34, mtime: 1e9, xattrs: { 'user.of': 'odd' } },
          { name: 'odd/er', type: 'directory', mode: 0o700, xattrs: { 'user.of': 'nobody' } },
        ]),
        makeLayer([
          { name: 'root', type: 'directory', mode: 0o700 },
          { name: 'root/.wh.old' },
          { name: 'root/noise', content: noise() },
        ]),
        makeLayer([
          { name: 'home', type: 'directory' },
          { name: 'home/noise', content: noise() },
          { name: 'odd/er', type: 'directory', mode: 0o1750, uid: 56, mtime: 1e9 + 1, xattrs: { 'user.of': 'er' } },
        ]),
        makeLayer([
          { name: 'home/implied', content: 'all of it' },
          { name: 'odd/er/new/file' },
          { name: 'odd/new/file' },
          { name: 'no/where/file' },
        ]),
      ]);
      await seed(registry.host, name, '1', image);
      return image;
    };
    const pull = (client: Client, name: string): Promise<void> =>
      pullPlain(client, `${wire.host}/${name}:1`, { name, snapshotter });
    const applied = async (): Promise<number> => {
      let text = '';
      // A daemon that has just started serves clients before its metrics.
      await eventually('metrics', async () => {
        const port = [...t.daemon.log().matchAll(/metrics are served.*?port=(\d+)/g)].at(-1)?.[1] ?? '';
        text = await fetch(`http://127.0.0.1:${port}/v1/metrics`).then(
          (answer) => answer.text(),
          () => '',
        );
        return text !== '';
      });
      return Number(/^davit_layers_applied_total (\d+)$/m.exec(text)?.[1]);
    };
    const gets = (name: string): string[] =>
      wire.requests.filter((line) => line.startsWith(`GET /v2/${name}/blobs/`)).map((line) => line.split(' ')[1] ?? '');
    const trees = (): number => readdirSync(path.join(t.daemon.root, 'snapshots/overlayfs/snapshots')).length;
    const blobs = (): number => readdirSync(path.join(t.daemon.root, 'content/blobs/sha256')).length;
    const works = async (client: Client, image: TestImage): Promise<void> => {
      const { stdout } = await run(client, image, [
        'sh',
        '-c',
        `cat /home/implied; ls -A /root; stat -c %a /root; cd /odd; stat -c '%a %u:%g %Y' . er;
          stat -c '%a %u:%g' er/new new /no /no/where`,
      ]);
      const below = '2711 12:34 1000000000\n1750 56:0 1000000001\n';
      // In a directory with the setgid bit others are made with its group.
      const fresh = '755 0:0\n755 0:34\n755 0:0\n755 0:0\n';
      assert.equal(stdout, `all of itnoise\n700\n${below}${fresh}`);
      assert.deepEqual(await attributes(client, image, ['odd', 'odd/er']), ['user.of="odd"', 'user.of="er"']);
    };
    /** The extended attributes of what the image has. */
    const attributes = async (client: Client, image: TestImage, names: readonly string[]): Promise<string[]> => {
      const parent = chainId(image.layers.map(({ diffId }) => diffId));
      const key = uniqueId('view');
      const labels = { 'containerd.io/gc.root': 'now' };
      const { mounts } = await client.snapshots.View({ snapshotter, key, parent, labels });
      const read = (at: string): string =>
        execFileSync('getfattr', ['-d', '--absolute-names', at], { encoding: 'utf8' }).split('\n')[1] ?? '';
      try {
        return mounted(mounts, (directory) => names.map((name) => read(path.join(directory, name))));
      } finally {
        await client.snapshots.Remove({ snapshotter, key });
      }
    };
    const usages = async (client: Client, image: TestImage): Promise<unknown[]> => {
      const ids = image.layers.map(({ diffId }) => diffId);
      const keys = ids.map((_, at) => chainId(ids.slice(0, at + 1)));
      return Promise.all(keys.map((key) => client.snapshots.Usage({ snapshotter, key })));
    };
    const remove = async (client: Client, name: string): Promise<void> => {
      await client.images.Delete({ name, sync: true });
    };

    it('pulls at once into two, runs in both, and goes with the last', async () => {
      const image = await seedImage('test/once');
      const [one, two] = [t.inNewNamespace(), t.inNewNamespace()];
      wire.slow(FAST);
      await Promise.all([pull(one, image.name), pull(two, image.name)]);
      wire.slow(0);
      const times = policy === 'shared' ? 1 : 2;
      assert.equal(gets(image.name).length, 5 * times, 'blobs that travelled');
      assert.equal(await applied(), image.layers.length * times, 'layers that were applied');
      assert.equal(trees(), 4 * times);
      assert.deepEqual(await usages(one, image), await usages(two, image));
      await works(one, image);
      await works(two, image);
      await remove(one, image.name);
      const top = chainId(image.layers.map(({ diffId }) => diffId));
      await fails(one.snapshots.Stat({ snapshotter, key: top }), 'not found');
      assert.equal(trees(), 4);
      await works(two, image);
      await remove(two, image.name);
      await eventually('nothing is left', async () => (await Promise.resolve(trees() + blobs())) === 0);
    });

    if (policy === 'isolated') return;

    it('takes later what is there already, also after kill -9', async () => {
      const image = await seedImage('test/later');
      const one = t.inNewNamespace();
      const others = await applied();
      await pull(one, image.name);
      assert.equal((await applied()) - others, image.layers.length, 'layers that were applied');
      const before = gets(image.name).length;
      await t.restart('kill');
      const [first, second] = [one, t.inNewNamespace()].map((old) =>
        t.newConnection().with({ namespace: old.namespace }),
      ) as [Client, Client];
      await pull(second, image.name);
      await pull(second, image.name);
      assert.deepEqual([gets(image.name).length - before, await applied(), trees()], [0, 0, 4]);
      await works(second, image);
      await remove(first, image.name);
      await t.restart('kill');
      const last = t.newConnection().with({ namespace: second.namespace });
      await works(last, image);
      await remove(last, image.name);
      await eventually('nothing is left', async () => (await Promise.resolve(trees() + blobs())) === 0);
    });

    it('is completed after kill -9 in the middle', async () => {
      const image = await seedImage('test/killed');
      const names = [t.inNewNamespace().namespace, t.inNewNamespace().namespace];
      const clients = (): Client[] => names.map((namespace) => t.newConnection().with({ namespace }));
      wire.slow(2 * KIBIBYTE * KIBIBYTE);
      const pulling = Promise.allSettled(clients().map((client) => pull(client, image.name)));
      await eventually('a layer is there', async () => (await Promise.resolve(trees())) > 0);
      await t.restart('kill');
      await pulling;
      wire.slow(0);
      const after = clients();
      await Promise.all(after.map((client) => pull(client, image.name)));
      assert.equal(trees(), 4);
      for (const client of after) await works(client, image);
      for (const client of after) {
        // Those of the pulls that were killed: they would end by themselves, in a day.
        for (const { id } of (await client.leases.List({})).leases) await client.leases.Delete({ id });
        await remove(client, image.name);
      }
      await eventually('nothing is left', async () => (await Promise.resolve(trees() + blobs())) === 0);
    });

    it('puts files where links of lower layers lead, and links to files of lower layers', async () => {
      const image = makeImage('test/links', [
        makeLayer([
          ...busyboxEntries(),
          { name: 'real', type: 'directory' },
          { name: 'real/noise', content: randomBytes(300 * KIBIBYTE) },
          { name: 'link', type: 'symlink', target: 'real' },
        ]),
        makeLayer([{ name: 'real/other', content: 'of a layer below' }]),
        makeLayer([{ name: 'link/through', content: 'through ' }]),
        makeLayer([{ name: 'hard', type: 'hardlink', target: 'real/other' }]),
      ]);
      await seed(registry.host, image.name, '1', image);
      const client = t.inNewNamespace();
      // The upper layers are here, and applied, before the lowest.
      wire.slow(KIBIBYTE * KIBIBYTE);
      await pull(client, image.name);
      wire.slow(0);
      const { stdout } = await run(client, image, ['sh', '-c', 'cat /real/through /hard; ls -d /link/']);
      assert.equal(stdout, 'through of a layer below/link/\n');
    });

    it('shares nothing that a client put under the name of a layer', async () => {
      const image = await seedImage('test/forged');
      const [evil, good] = [t.inNewNamespace(), t.inNewNamespace()];
      const name = chainId([image.layers[0]?.diffId ?? '']);
      const labels = { 'containerd.io/gc.root': 'now' };
      await evil.snapshots.Prepare({ snapshotter, key: 'forged', labels });
      await evil.snapshots.Commit({ snapshotter, key: 'forged', name, labels });
      await pull(evil, image.name);
      await pull(good, image.name);
      await works(good, image);
      const [key] = image.layers.map(({ diffId }) => diffId);
      const used = await good.snapshots.Usage({ snapshotter, key: key ?? '' });
      assert.notDeepEqual(used, await evil.snapshots.Usage({ snapshotter, key: key ?? '' }));
    });
  });
}
