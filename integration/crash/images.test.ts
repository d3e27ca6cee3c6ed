// kill -9 at random moments while images are pulled, loaded, unpacked, committed and deleted in two namespaces.
//
// IMAGE_CRASHES sets how often (default 3).
import { strict as assert } from 'node:assert';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { commitContainer } from '../../client/images/commit.ts';
import { importImages } from '../../client/images/import.ts';
import { hostPlatform } from '../../client/images/platform.ts';
import { readImage } from '../../client/images/resolve.ts';
import { unpack } from '../../client/images/unpack.ts';
import { createContainer } from '../harness/container.ts';
import { collect, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { makeImage, makeLayer, ociArchive, sha256, type Layer, type TestImage } from '../harness/image.ts';
import { imageNeeds, layerFolders, unneeded } from '../harness/needed.ts';
import { seed, startRegistry, wireTo, type TestRegistry, type Wire } from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';
import { pull as pullPlain } from '../harness/transfer.ts';

const ROUNDS = Number(process.env['IMAGE_CRASHES'] ?? 3);
const IMAGES = 4;
const LONGEST_MS = 900;
/** Of each connection; the daemon keeps what came in pieces of half a mebibyte. */
const RATE = 8 * 1024 * 1024;
const PULLED = 0.6;
const snapshotter = 'overlayfs';
const ROOTED = 'labels."containerd.io/gc.root"';
/** On leases that are the daemon's own. */
const TRANSFER = 'io.davit/transfer';

/** What a client knows of an image: as it was told, or what it was about when the daemon went. */
type State = 'there' | 'gone' | 'pulling' | 'loading' | 'unknown';
type States = Map<string, State>;

(targetOf(process.env) === 'davit' ? describe : describe.skip)(`images of a killed daemon: ${ROUNDS} rounds`, () => {
  const t = useDaemon();
  const folder = mkdtempSync('/tmp/davit-crash-');
  const images = new Map<string, TestImage>();
  /** Digest of the file `own` of every committed snapshot that there can be, by the snapshot's name. */
  const files = new Map<string, string>();
  /** Of those files in what was committed. */
  const written = new Set<string>();
  let registry: TestRegistry;
  let wire: Wire;

  before(async () => {
    registry = await startRegistry({ folder: path.join(folder, 'data') });
    wire = await wireTo(registry.host);
    wire.slow(RATE);
    const shared = layer(200_000);
    for (let at = 0; at < IMAGES; at += 1) {
      const image = makeImage(`${wire.host}/test/image${at}:1`, [shared, layer(2_500_000), layer(1_200_000)]);
      for (const [index] of image.layers.entries()) {
        const chain = image.layers.slice(0, index + 1);
        files.set(chainId(chain.map(({ diffId }) => diffId)), present(own.get(chain.at(-1) as Layer)));
      }
      images.set(image.name, image);
      await seed(registry.host, `test/image${at}`, '1', image);
    }
  });
  after(async () => {
    await wire?.close();
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const own = new Map<Layer, string>();
  function layer(size: number): Layer {
    const content = randomBytes(size);
    const small = Array.from({ length: 30 }, (_, at) => ({ name: `d/${size}/small-${at}`, content: randomBytes(50) }));
    const made = makeLayer([{ name: 'd', type: 'directory' }, ...small, { name: 'own', content }]);
    own.set(made, sha256(content));
    return made;
  }

  const pull = (client: Client, name: string): Promise<void> => pullPlain(client, name, { snapshotter });

  /** Under a lease that stays when the work fails, as that of a client does that died, too. */
  async function held<T>(client: Client, work: (client: Client) => Promise<T>): Promise<T> {
    const { lease } = await client.leases.Create({});
    const id = present(lease).id;
    const done = await work(client.with({ lease: id }));
    await client.leases.Delete({ id });
    return done;
  }

  /** As `davit load` does. */
  const load = (client: Client, image: TestImage): Promise<void> =>
    held(client, async (leased) => {
      const archive = Readable.from([ociArchive([image])]);
      const names = { baseName: '', onlyBaseName: false, digests: false, skipDigestForNamed: false };
      await importImages(leased, archive, { ...names, compress: false, platform: undefined });
      const { manifest, config } = await readImage(leased, image.manifest, hostPlatform());
      await unpack(leased, manifest, config, { snapshotter });
    });

  /** A further layer on an image that is unpacked here, as a new image: as `davit commit` does. */
  async function commit(client: Client, base: TestImage, name: string): Promise<void> {
    const id = await createContainer(client, base, ['true']);
    const { mounts } = await client.snapshots.Mounts({ snapshotter, key: id });
    const upper = present(mounts[0]?.options.find((option) => option.startsWith('upperdir='))).slice(9);
    const content = randomBytes(100_000);
    written.add(sha256(content));
    writeFileSync(path.join(upper, 'own'), content);
    await commitContainer(client, id, { name, createdBy: 'test', pause: false, configure: (config) => config });
    await removeContainer(client, id);
  }

  async function removeContainer(client: Client, id: string): Promise<void> {
    await client.containers.Delete({ id });
    await client.snapshots.Remove({ snapshotter, key: id });
  }

  /** Does one thing after the other until it is told to stop; the daemon may be gone at any moment. */
  async function keepBusy(
    client: Client,
    states: States,
    stopped: () => boolean,
    totals: { acts: number },
  ): Promise<void> {
    while (!stopped()) {
      await act(client, states).catch((error: unknown) => {
        if (!stopped()) throw error;
      });
      totals.acts += 1;
    }
  }

  async function act(client: Client, states: States): Promise<void> {
    const name = [...images.keys()][randomInt(IMAGES)] ?? '';
    const image = present(images.get(name));
    if (states.get(name) !== 'there') {
      const pulls = Math.random() < PULLED;
      states.set(name, pulls ? 'pulling' : 'loading');
      await (pulls ? pull(client, name) : load(client, image));
      states.set(name, 'there');
      return;
    }
    const committed = `committed/${client.namespace}:${states.size}`;
    const gone = randomInt(2) === 0 ? name : [...states.keys()].find((each) => each.startsWith('committed/'));
    if (gone === undefined || (gone !== name && randomInt(2) === 0)) {
      states.set(committed, 'unknown');
      await commit(client, image, committed);
      states.set(committed, 'there');
    } else if (states.get(gone) === 'there') {
      states.set(gone, 'unknown');
      await client.images.Delete({ name: gone, sync: randomInt(2) === 0 });
      states.set(gone, 'gone');
    }
  }

  const whole = async (client: Client): Promise<string[]> => {
    const { problems, snapshots } = await imageNeeds(t.daemon, client);
    const damaged: string[] = [];
    for await (const { info } of client.snapshots.List({ snapshotter }))
      for (const { name, kind } of info) {
        if (kind !== 3) continue;
        const [top] = await layerFolders(client, name).catch((error: unknown) => {
          // The collection after a start takes what no image needs.
          if (!isNotFound(error) || snapshots.has(name)) throw error;
          return [];
        });
        if (top === undefined) continue;
        const found = sha256(readFileSync(path.join(top, 'own')));
        if (files.has(name) ? found !== files.get(name) : !written.has(found))
          damaged.push(`snapshot ${name}: its file is damaged`);
      }
    return [...problems, ...damaged];
  };

  /** Pulls again what was being pulled; the number of bytes that were here already. */
  async function resume(client: Client, name: string): Promise<number> {
    const here = new Set(
      (await collect(client.content.List({}))).flatMap(({ info }) => info.map(({ digest }) => digest)),
    );
    const { statuses } = await client.content.ListStatuses({});
    const offsets = new Map(statuses.map(({ ref, offset }) => [ref.slice(ref.indexOf('-') + 1), Number(offset)]));
    const before = wire.requests.length;
    await pull(client, name);
    let kept = [...(images.get(name)?.blobs ?? [])].reduce(
      (sum, [digest, { length }]) => sum + (here.has(digest) ? length : 0),
      0,
    );
    for (const line of wire.requests.slice(before)) {
      const [, digest = '', from = '0'] = /^GET \/v2\/\S+\/(sha256:\w{64})(?: bytes=(\d+)-)?$/.exec(line) ?? [];
      if (digest === '') continue;
      assert.ok(!here.has(digest), `${line}: it was here, whole`);
      assert.equal(Number(from), offsets.get(digest) ?? 0, `${line}: ${offsets.get(digest) ?? 0} bytes were here`);
      kept += Number(from);
    }
    return kept;
  }

  it('show nothing half done, go on where they were, and leave nothing', async function () {
    this.timeout(60_000 + ROUNDS * 30_000);
    const namespaces = [t.inNewNamespace().namespace, t.inNewNamespace().namespace];
    const all = new Map(namespaces.map((name): [string, States] => [name, new Map()]));
    const totals = { acts: 0, pulling: 0, kept: 0 };
    for (let round = 0; round < ROUNDS; round += 1) {
      let over = false;
      const busy = namespaces.map((namespace) => t.newConnection().with({ namespace }));
      const loads = busy.map((client) => keepBusy(client, present(all.get(client.namespace)), () => over, totals));
      await Promise.race([sleep(Math.random() * LONGEST_MS), ...loads]);
      over = true;
      await t.restart('kill', async () => {
        for (const client of busy) client.close();
        await Promise.all(loads);
      });

      const clients = namespaces.map((namespace) => t.newConnection().with({ namespace }));
      for (const client of clients) {
        const states = present(all.get(client.namespace));
        assert.deepEqual(await whole(client), [], `round ${round}`);
        const there = new Set((await client.images.List({})).images.map(({ name }) => name));
        for (const [name, state] of states) {
          if (state === 'there' || state === 'gone')
            assert.equal(there.has(name), state === 'there', `round ${round}: ${name} should be ${state}`);
          if (state === 'loading') await load(client, present(images.get(name)));
          if (state === 'pulling') {
            totals.pulling += 1;
            totals.kept += await resume(client, name);
          }
          if (state === 'loading' || state === 'pulling') there.add(name);
        }
        for (const name of states.keys()) states.set(name, there.has(name) ? 'there' : 'gone');
        // Below what was committed an image's layers stay when the image itself has gone.
        const { snapshots } = await imageNeeds(t.daemon, client);
        for (const [name, { layers }] of images)
          if (there.has(name))
            assert.ok(snapshots.has(chainId(layers.map(({ diffId }) => diffId))), `${name} is unpacked`);
        // The clients' own, which would end by themselves.
        for (const { id, labels } of (await client.leases.List({})).leases)
          if (!(TRANSFER in labels)) await client.leases.Delete({ id });
        for (const { id } of (await client.containers.List({})).containers) await client.containers.Delete({ id });
        for await (const { info } of client.snapshots.List({ snapshotter, filters: [ROOTED] }))
          for (const { name } of info) await client.snapshots.Remove({ snapshotter, key: name });
      }
      assert.deepEqual(await unneeded(t.daemon, clients), [], `round ${round}`);
      for (const client of clients) client.close();
    }
    console.log(
      `      ${totals.acts} things done; ${totals.pulling} pulls went on, ${totals.kept} bytes were here already`,
    );

    for (const namespace of namespaces) {
      const client = t.newConnection().with({ namespace });
      for (const { name } of (await client.images.List({})).images) await client.images.Delete({ name, sync: true });
    }
    assert.deepEqual(
      await unneeded(
        t.daemon,
        namespaces.map((namespace) => t.client.with({ namespace })),
      ),
      [],
    );
  });
});
