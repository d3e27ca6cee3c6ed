// The daemon dies, fails or stands still at each fault point that a pull passes.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import type { FaultPoint } from '../../services/lib/fault.ts';
import { collect, fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { makeImage, makeLayer, type TestImage } from '../harness/image.ts';
import { imageNeeds, unneeded } from '../harness/needed.ts';
import { seed, startRegistry, wireTo, type TestRegistry, type Wire } from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';
import { pull as pullPlain } from '../harness/transfer.ts';

/** Where it dies, and whether the image is there afterwards. `make soak` tries all, `make test` some. */
const POINTS: readonly (readonly [point: FaultPoint, image: boolean])[] = [
  ['metadata.batch.before-write', false],
  ['metadata.batch.after-write', false],
  ['content.write.before-append', false],
  ['content.commit.before-rename', false],
  ['content.commit.before-record', false],
  ['content.commit.after-record', false],
  ['snapshots.prepare.before-record', false],
  ['diff.apply.after-extract', false],
  ['snapshots.commit.before-record', false],
  ['snapshots.commit.before-sync', false],
  ['snapshots.commit.after-sync', false],
  ['transfer.pull.before-image', false],
  ['transfer.pull.after-image', true],
];
const SOME = /before-sync|transfer/;
const tried = POINTS.filter(([point]) => process.env['IMAGE_CRASHES'] !== undefined || SOME.test(point));
const snapshotter = 'overlayfs';

(targetOf(process.env) === 'davit' ? describe : describe.skip)('faults in a pull', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const folder = mkdtempSync('/tmp/davit-faults-');
  let registry: TestRegistry;
  let wire: Wire;
  let count = 0;

  before(async () => {
    registry = await startRegistry({ folder: path.join(folder, 'data') });
    wire = await wireTo(registry.host);
  });
  after(async () => {
    await wire?.close();
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One that the daemon has nothing of; its layers are too small to be unpacked ahead. */
  async function freshImage(): Promise<TestImage> {
    const repository = `faults/image${(count += 1)}`;
    const fill = (name: string) => makeLayer([{ name, content: randomBytes(20_000) }]);
    const image = makeImage(`${wire.host}/${repository}:1`, [fill('one'), fill('two')]);
    await seed(registry.host, repository, '1', image);
    return image;
  }

  const pull = (client: Client, { name }: TestImage): Promise<void> => pullPlain(client, name, { snapshotter });
  const hasImage = async (client: Client): Promise<boolean> => (await client.images.List({})).images.length > 0;
  const again = (client: Client): Client => t.newConnection().with({ namespace: client.namespace });

  /** The pull comes to its end, with what is here already, and nothing else stays. */
  async function assertPullable(client: Client, image: TestImage): Promise<void> {
    const here = (await collect(client.content.List({}))).flatMap(({ info }) => info.map(({ digest }) => digest));
    assert.deepEqual((await imageNeeds(t.daemon, client)).problems, []);
    const seen = wire.requests.length;
    await pull(client, image);
    for (const line of wire.requests.slice(seen))
      assert.ok(!line.startsWith('GET') || !here.some((digest) => line.includes(digest)), `${line}: it was here`);
    const { problems, snapshots } = await imageNeeds(t.daemon, client);
    assert.deepEqual(problems, []);
    assert.ok(snapshots.has(chainId(image.layers.map(({ diffId }) => diffId))), 'it is unpacked');
    assert.deepEqual(await unneeded(t.daemon, [client]), []);
    await client.images.Delete({ name: image.name, sync: true });
    assert.deepEqual(await unneeded(t.daemon, [client]), []);
  }

  for (const [point, there] of tried)
    it(`dies at ${point}`, async () => {
      const image = await freshImage();
      const namespace = t.inNewNamespace();
      await t.restart('stop', undefined, { DAVIT_FAULTS: `${point}=die` });
      await assert.rejects(pull(again(namespace), image));
      await t.daemon.ended();
      await t.restart('kill');
      const client = again(namespace);
      assert.equal(await hasImage(client), there);
      await assertPullable(client, image);
    });

  for (const [point, there] of POINTS.filter(([name]) => name.startsWith('transfer.')))
    it(`fails and stands still at ${point}`, async () => {
      const image = await freshImage();
      const namespace = t.inNewNamespace();
      await t.restart('stop', undefined, { DAVIT_FAULTS: `${point}=fail` });
      const failing = again(namespace);
      await fails(pull(failing, image), 'internal', new RegExp(`fault point "${point}" was told to fail`));
      assert.equal(await hasImage(failing), there);
      assert.deepEqual((await failing.leases.List({})).leases, []);
      await t.restart('stop', undefined, { DAVIT_FAULTS: `${point}=stall:1000` });
      const stalled = again(namespace);
      let over = false;
      const pulling = pull(stalled, image).finally(() => (over = true));
      await stalled.namespaces.List({});
      assert.ok(!over, 'others are served meanwhile');
      await pulling;
      await t.restart('stop');
      await assertPullable(again(namespace), image);
    });
});
