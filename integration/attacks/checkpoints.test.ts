// Checkpoints are images like others: what is in one is somebody else's.
import { strict as assert } from 'node:assert';
import { after, before, describe, it } from 'mocha';
import { codec } from '../../proto/messages.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import { SPEC_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { writeBlob } from '../../client/images/content.ts';
import { toWire } from '../../client/images/resolve.ts';
import type { Descriptor } from '../../client/images/types.ts';
import { withLease } from '../../client/lease.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { runtimeSpec } from '../harness/spec.ts';
import { putImage } from '../harness/store.ts';
import { tar, type TarEntry } from '../harness/tar.ts';
import { createCanary, evilImage, type Canary } from './attacker.ts';
import { call } from './cli.ts';

const PROCESSES = 'application/vnd.containerd.container.criu.checkpoint.criu.tar';
const SPEC = 'application/vnd.containerd.container.checkpoint.config.v1+proto';
const NAME = 'docker.io/attack/checkpoint:latest';
const ID = 'restored';

describe('attacks: checkpoints', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const image = evilImage('checkpointed');
  let canary: Canary | undefined;

  before(async function () {
    davitOnly(this, t.target, 'containerd does not have this client');
    canary = createCanary();
    await putImage(t.client, image);
  });
  after(() => {
    canary?.check();
    canary?.remove();
  });

  async function store(client: Client, mediaType: string, bytes: Uint8Array, labels = {}): Promise<Descriptor> {
    const digest = await writeBlob(client, { ref: `attack-${Math.random()}`, size: bytes.length, labels }, [bytes]);
    return { mediaType, digest, size: bytes.length };
  }

  /** An image that says it is a checkpoint of the other one; `named` is what it calls that one. */
  async function putCheckpoint(spec: object, images: readonly TarEntry[], named = image.name): Promise<void> {
    const any = { type_url: SPEC_URL, value: Buffer.from(JSON.stringify(spec)) };
    const annotations = {
      'org.opencontainers.image.ref.name': named,
      'io.containerd.checkpoint.runtime': 'io.containerd.runc.v2',
      'io.containerd.checkpoint.snapshotter': 'overlayfs',
    };
    await t.client.images.Delete({ name: NAME }).catch(() => undefined);
    await withLease(t.client, async (client) => {
      const manifests = [
        await store(client, SPEC, codec<Any>('google.protobuf.Any').encode(any)),
        await store(client, PROCESSES, tar(images)),
      ];
      const labels = Object.fromEntries(
        manifests.map(({ digest }, at) => [`containerd.io/gc.ref.content.${at}`, digest]),
      );
      const document = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests, annotations }));
      const target = toWire(await store(client, 'application/vnd.oci.image.index.v1+json', document, labels));
      await client.images.Create({ image: { name: NAME, target } });
    });
  }

  /** What davit said; the container is gone afterwards. */
  async function restore(...flags: string[]): Promise<string> {
    const options = ['--live', '--null-io', '--detach', ...flags];
    const { status, stderr } = call('davit', t.daemon, t.client, ['containers', 'restore', ...options, ID, NAME]);
    assert.notEqual(status, 0, 'it was restored');
    await t.client.containers.Delete({ id: ID }).catch(() => undefined);
    await t.client.snapshots.Remove({ snapshotter: 'overlayfs', key: ID }).catch(() => undefined);
    return stderr;
  }

  const spec = (options = {}): object => runtimeSpec(t.client.namespace, ID, ['sleep', '1000'], options);
  const descriptors = { name: 'descriptors.json', content: '["/dev/null","/dev/null","/dev/null"]' };

  it('CVE-2026-53489: files of a checkpoint are links to the host', async () => {
    for (const name of ['pages-1.img', 'descriptors.json', 'container.log', 'parent']) {
      await putCheckpoint(spec(), [{ name, type: 'symlink', target: canary?.secret ?? '' }]);
      const said = await restore();
      assert.match(said, new RegExp(`"${name}" is not a regular file`));
      assert.ok(!said.includes(canary?.text ?? 'no canary'));
    }
    await putCheckpoint(spec(), [descriptors, { name: 'pages-1.img', type: 'fifo' }]);
    assert.match(await restore(), /"pages-1.img" is not a regular file/);
  });

  it('CVE-2026-53489: files of a checkpoint lie outside of it', async () => {
    const climbs = `${'../'.repeat(20)}${canary?.outside ?? ''}`;
    await putCheckpoint(spec(), [descriptors, { name: `${climbs}/made`, content: 'evil' }]);
    await restore();
    canary?.check();
    await putCheckpoint(spec(), [{ name: 'pages-1.img', type: 'hardlink', target: `${climbs}/../secret` }]);
    await restore();
    canary?.check();
  });

  it('CVE-2024-8676: the spec of a checkpoint mounts a folder of the host', async () => {
    const mount = { destination: '/evil', type: 'bind', source: canary?.directory ?? '', options: ['rbind', 'rw'] };
    await putCheckpoint(spec({ mounts: [mount] }), [descriptors]);
    assert.match(await restore(), /mounts \/tmp\/davit-canary-\S+ at \/evil; --host-mounts/);
    await assert.rejects(t.client.containers.Get({ id: ID }), /not found/);
    // Allowed, it comes as far as to what is wrong with the images.
    assert.doesNotMatch(await restore('--host-mounts'), /--host-mounts/);
  });

  it('CVE-2026-50195: a checkpoint names a local image as its own', async () => {
    const named = 'docker.io/attack/victim:latest';
    const victim = { ...image, name: named };
    await putImage(t.client, victim);
    const images = async (): Promise<unknown> =>
      (await t.client.images.List({})).images.map(({ name, target }) => `${name} ${target?.digest ?? ''}`).toSorted();
    await putCheckpoint(spec(), [descriptors], named);
    const before = await images();
    await restore();
    assert.deepEqual(await images(), before);
    const { status, stderr } = call('davit', t.daemon, t.client, ['containers', 'checkpoint', ID, named]);
    assert.notEqual(status, 0);
    assert.match(stderr, /not found/);
    assert.deepEqual(await images(), before);
  });
});
