// What the configuration says about images: which may come in, and what stays of them.
import { strict as assert } from 'node:assert';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { pullImage, pushImage, type PullOptions } from '../../client/images/transfer.ts';
import { eventually, fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { layeredImage } from '../harness/image.ts';
import { seed, startRegistry, type TestRegistry } from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const HOST_PLATFORM = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };

describe('policies for images', () => {
  if (targetOf(process.env) === 'containerd') {
    process.stdout.write('    skipped: containerd 1.6 has no Transfer service\n');
    return;
  }
  const folder = mkdtempSync('/tmp/davit-policy-');
  const t = useDaemon({ config: '[plugins."io.davit.unpack.v1"]\ndiscard_unpacked_layers = true\n' });
  const layered = layeredImage();
  let registry: TestRegistry;

  before(async () => {
    registry = await startRegistry({ folder: path.join(folder, 'data') });
    await seed(registry.host, 'test/layered', '1', layered);
  });
  after(async () => {
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const pull = (client: Client, reference: string, more: Partial<PullOptions> = {}) =>
    pullImage(
      client,
      { reference, plainHttp: true, credentials: () => Promise.resolve(undefined) },
      {
        name: reference,
        platforms: [HOST_PLATFORM],
        labels: {},
        allMetadata: false,
        snapshotter: 'overlayfs',
        ...more,
      },
    );
  const push = (client: Client, name: string, reference: string) =>
    pushImage(
      client,
      { reference, plainHttp: true, credentials: () => Promise.resolve(undefined) },
      { name, platforms: [] },
    );
  const collectGarbage = async (client: Client): Promise<void> => {
    const { lease } = await client.leases.Create({});
    await client.leases.Delete({ id: lease?.id ?? '', sync: true });
  };
  const has = (client: Client, digest: string): Promise<boolean> =>
    client.content.Info({ digest }).then(
      () => true,
      () => false,
    );

  it('layers go when they are unpacked, and whoever needs them is told how to get them', async () => {
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/layered:1`;
    await pull(client, name);
    await collectGarbage(client);
    for (const { descriptor } of layered.layers) assert.equal(await has(client, descriptor.digest), false);
    assert.ok(await has(client, layered.manifest.digest));
    assert.ok(await has(client, layered.config.digest));
    const key = chainId(layered.layers.map(({ diffId }) => diffId));
    await client.snapshots.Stat({ snapshotter: 'overlayfs', key });
    // The registry has the layers: nothing is to be sent.
    await push(client, name, `${registry.host}/test/layered:2`);
    const missing = /layer sha256:\w+ is not here: .*discard_unpacked_layers.*--no-unpack.*: not found$/;
    await fails(push(client, name, `${registry.host}/elsewhere/layered:1`), 'not found', missing);
    await pull(client, name, { snapshotter: undefined });
    await collectGarbage(client);
    for (const { descriptor } of layered.layers) assert.ok(await has(client, descriptor.digest));
    await push(client, name, `${registry.host}/elsewhere/layered:1`);
  });

  it('an image ends when its label says so, and takes everything with it', async () => {
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/layered:1`;
    const expire = new Date(Date.now() + 1500).toISOString();
    await pull(client, name, { labels: { 'containerd.io/gc.expire': expire } });
    await collectGarbage(client);
    assert.ok(await has(client, layered.manifest.digest));
    await eventually('the image is gone', async () => (await client.images.List({})).images.length === 0);
    await eventually('its manifest is gone', async () => !(await has(client, layered.manifest.digest)));
  });
});
