// Pulling from and pushing to a real registry through the daemon.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { isNotImplemented } from '../../client/errors.ts';
import { imageTarget } from '../../client/images/resolve.ts';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, layeredImage, makeImage, makeLayer, sha256, type TestImage } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';
import {
  fakeServer,
  makeCertificate,
  putManifest,
  seed,
  startRegistry,
  USER,
  wireTo,
  type TestRegistry,
  type Wire,
} from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { HOST_PLATFORM, pull, push } from '../harness/transfer.ts';

const MEBIBYTE = 1024 * 1024;

describe('registries', () => {
  const t = useDaemon({ leftByContainerd: 'idle connections to registries' });
  const folder = mkdtempSync('/tmp/davit-images-');
  const busybox = busyboxImage();
  const layered = layeredImage();
  let registry: TestRegistry;
  let wire: Wire;

  before(async function () {
    try {
      await t.client.transfer.Transfer({ source: { type_url: 'x' }, destination: { type_url: 'x' } });
    } catch (error) {
      if (isNotImplemented(error) && /unknown service/.test(error.message)) {
        process.stdout.write('    skipped: this containerd has no Transfer service\n');
        this.skip();
      }
    }
    registry = await startRegistry({ folder: path.join(folder, 'data') });
    await seed(registry.host, 'test/busybox', '1', busybox);
    await seed(registry.host, 'test/layered', '1', layered);
  });
  before(async () => void (wire = await wireTo(registry.host)));
  after(async () => {
    await wire?.close();
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** An image that nobody has yet, of one layer that does not compress and so travels for a while. */
  const seedLarge = async (name: string, mebibytes: number): Promise<TestImage> => {
    const content = randomBytes(mebibytes * MEBIBYTE);
    const image = makeImage(name, [makeLayer([{ name: 'random', content }])]);
    await seed(registry.host, name, '1', image);
    return image;
  };

  /** As Debian's skopeo reads it. */
  const rawManifest = (reference: string): Buffer =>
    execFileSync('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${reference}`]);

  const labelsOf = async (client: Client, digest: string): Promise<Record<string, string>> =>
    present((await client.content.Info({ digest })).info).labels;

  it('pulls, labels and unpacks as containerd does', async () => {
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/layered:1`;
    await pull(client, name, { labels: { color: 'red' } });
    const image = present((await client.images.Get({ name })).image);
    assert.equal(image.target?.digest, layered.manifest.digest);
    assert.deepEqual(image.labels, { color: 'red' });
    const source = { 'containerd.io/distribution.source.127.0.0.1': 'test/layered' };
    const layers = layered.layers.map((layer, at) => [`containerd.io/gc.ref.content.l.${at}`, layer.descriptor.digest]);
    assert.deepEqual(await labelsOf(client, layered.manifest.digest), {
      ...source,
      'containerd.io/gc.ref.content.config': layered.config.digest,
      ...Object.fromEntries(layers),
    });
    const top = chainId(layered.layers.map(({ diffId }) => diffId));
    assert.deepEqual(await labelsOf(client, layered.config.digest), {
      ...source,
      'containerd.io/gc.ref.snapshot.overlayfs': top,
    });
    for (const { descriptor, diffId } of layered.layers)
      assert.deepEqual(await labelsOf(client, descriptor.digest), { ...source, 'containerd.io/uncompressed': diffId });
    const { info } = await client.snapshots.Stat({ snapshotter: 'overlayfs', key: top });
    assert.equal(info?.kind, 3);
    assert.deepEqual((await client.leases.List({})).leases, [], 'no lease is left');
  });

  it('reports every part from waiting to its end', async () => {
    const name = `${registry.host}/test/layered:1`;
    const seen = new Map<string, string[]>();
    await pull(t.inNewNamespace(), name, {
      progress: ({ event, name: part }) => seen.set(part, [...(seen.get(part) ?? []), event]),
    });
    const lines = present(seen.get(''));
    assert.equal(lines[0], `Resolving from OCI Registry (${name})`);
    assert.equal(lines.at(-1), `Completed pull from OCI Registry (${name})`);
    assert.equal(present(seen.get(name)).at(-1), 'saved');
    assert.equal(present(seen.get(`manifest-${layered.manifest.digest}`))[0], 'waiting');
    for (const { descriptor } of layered.layers) assert.ok(seen.has(`layer-${descriptor.digest}`));
  });

  it('pushes what skopeo reads back, byte for byte', async () => {
    const client = t.inNewNamespace();
    await pull(client, `${registry.host}/test/layered:1`);
    await push(client, `${registry.host}/test/layered:1`, `${registry.host}/pushed/here:2`);
    assert.equal(sha256(rawManifest(`${registry.host}/pushed/here:2`)), layered.manifest.digest);
    const target = path.join(folder, 'copied');
    execFileSync('skopeo', [
      'copy',
      '--src-tls-verify=false',
      `docker://${registry.host}/pushed/here:2`,
      `dir:${target}`,
    ]);
    const copied = new Set(readdirSync(target));
    for (const { descriptor } of layered.layers) assert.ok(copied.has(descriptor.digest.slice('sha256:'.length)));
  });

  it('mounts blobs of another repository instead of sending them', async () => {
    const client = t.inNewNamespace();
    await pull(client, `${wire.host}/test/busybox:1`);
    const before = wire.requests.length;
    await push(client, `${wire.host}/test/busybox:1`, `${wire.host}/mounted/busybox:1`);
    const asked = wire.requests.slice(before);
    assert.ok(
      asked.some((line) => /^POST .*mount=sha256.*from=test(%2F|\/)busybox/.test(line)),
      asked.join('\n'),
    );
    assert.ok(!asked.some((line) => line.startsWith('PUT /v2/mounted/busybox/blobs/')), asked.join('\n'));
    assert.equal(sha256(rawManifest(`${registry.host}/mounted/busybox:1`)), busybox.manifest.digest);
  });

  it('goes on where a connection was cut in the middle of a blob', async function () {
    davitOnly(this, t.target, 'containerd reads a cut blob again only from 2.1 on, and not always by range');
    const large = await seedLarge('test/cut', 8);
    const before = [wire.requests.length, wire.bytes] as const;
    wire.cut(2, 2 * MEBIBYTE);
    const client = t.inNewNamespace();
    await pull(client, `${wire.host}/test/cut:1`);
    const ranges = wire.requests.slice(before[0]).filter((line) => line.includes(' bytes='));
    assert.equal(ranges.length, 2, wire.requests.slice(before[0]).join('\n'));
    assert.ok(wire.bytes - before[1] < 9.5 * MEBIBYTE, `${wire.bytes - before[1]} bytes travelled`);
    await client.snapshots.Stat({ snapshotter: 'overlayfs', key: chainId(large.layers.map(({ diffId }) => diffId)) });
  });

  it('goes on after kill -9 in the middle of a blob', async function () {
    davitOnly(this, t.target, 'compared above');
    const large = await seedLarge('test/killed', 8);
    wire.slow(4 * MEBIBYTE);
    const client = t.inNewNamespace();
    const pulling = pull(client, `${wire.host}/test/killed:1`).catch(() => undefined);
    const ref = `layer-${large.layers[0]?.descriptor.digest ?? ''}`;
    const offset = async (): Promise<number> => {
      const { statuses } = await client.content.ListStatuses({ filters: [] });
      return Number(statuses.find((each) => each.ref === ref)?.offset ?? 0);
    };
    await eventually('a part has arrived', async () => (await offset()) > MEBIBYTE);
    await t.restart('kill');
    await pulling;
    wire.slow(0);
    const before = wire.requests.length;
    const next = t.newConnection().with({ namespace: client.namespace });
    await pull(next, `${wire.host}/test/killed:1`);
    const [range] = wire.requests.slice(before).filter((line) => line.includes(' bytes='));
    const start = Number(/ bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    assert.ok(start > MEBIBYTE, `resumed at ${start}: ${wire.requests.slice(before).join(', ')}`);
  });

  it('ends when its client does, and leaves no lease', async () => {
    await seedLarge('test/left', 4);
    wire.slow(2 * MEBIBYTE);
    const client = t.inNewNamespace();
    const gone = new AbortController();
    const pulling = pull(client.with({ signal: gone.signal }), `${wire.host}/test/left:1`);
    await eventually('it has begun', async () => (await client.content.ListStatuses({})).statuses.length > 0);
    gone.abort();
    await fails(pulling, 'canceled');
    wire.slow(0);
    await eventually('its lease is gone', async () => (await client.leases.List({})).leases.length === 0);
    assert.deepEqual((await client.images.List({})).images, []);
  });

  it('fetches each blob once for two clients in two namespaces', async function () {
    davitOnly(this, t.target, 'containerd shares downloads within a namespace at most');
    const image = await seedLarge('test/shared', 4);
    wire.slow(16 * MEBIBYTE);
    const before = wire.requests.length;
    const clients = [t.inNewNamespace(), t.inNewNamespace(), t.inNewNamespace()];
    await Promise.all(clients.map((client) => pull(client, `${wire.host}/test/shared:1`)));
    wire.slow(0);
    const gets = wire.requests.slice(before).filter((line) => line.startsWith('GET /v2/test/shared/'));
    assert.equal(new Set(gets).size, gets.length, gets.join('\n'));
    for (const client of clients)
      assert.equal((await imageTarget(client, `${wire.host}/test/shared:1`)).digest, image.manifest.digest);
  });

  it('says which tag, which host and what the registry said', async () => {
    const name = `${registry.host}/test/busybox:missing`;
    const error = await fails(pull(t.client, name), 'not found', /not found$/);
    if (t.target === 'davit') assert.match(error.message, /GET http:\S+missing: 404: .*\(MANIFEST_UNKNOWN\)/);
    assert.ok(error.message.includes(name) && !error.message.includes('\n'));
  });

  it('refuses content of another digest than asked for', async () => {
    const wanted = sha256(Buffer.from('something else'));
    const manifest = busybox.blobs.get(busybox.manifest.digest);
    const fake = await fakeServer((request, response) => {
      if (!/\/manifests\//.test(request.url ?? '')) return;
      response.setHeader('content-type', busybox.manifest.mediaType);
      response.setHeader('docker-content-digest', wanted);
      response.setHeader('content-length', String(manifest?.length));
      response.end(request.method === 'HEAD' ? undefined : manifest);
    });
    try {
      const client = t.inNewNamespace();
      const kind = t.target === 'davit' ? 'data loss' : 'failed precondition';
      await fails(pull(client, `${fake.host}/x/y@${wanted}`), kind, new RegExp(wanted));
      assert.deepEqual(await collect(client.content.List({})), []);
      const { statuses } = await client.content.ListStatuses({});
      if (t.target === 'davit') assert.deepEqual(statuses, [], 'wrong bytes are not kept to be resumed');
    } finally {
      await fake.close();
    }
  });

  it('pulls one platform of many, and says which there are', async () => {
    const arm = makeImage('arm', [makeLayer([{ name: 'arm', content: 'arm' }])]);
    await seed(registry.host, 'test/multi', 'arm', arm);
    await seed(registry.host, 'test/multi', 'amd', busybox);
    const entry = (image: TestImage, architecture: string) => ({
      ...image.manifest,
      platform: { os: 'linux', architecture },
    });
    const mediaType = 'application/vnd.oci.image.index.v1+json';
    const manifests = [entry(arm, 'arm64'), entry(busybox, HOST_PLATFORM.architecture)];
    const index = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, manifests }));
    await putManifest(`http://${registry.host}/v2/test/multi`, 'all', mediaType, index);
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/multi:all`;
    await pull(client, name);
    assert.equal((await imageTarget(client, name)).digest, sha256(index));
    await client.content.Info({ digest: busybox.manifest.digest });
    await fails(client.content.Info({ digest: arm.manifest.digest }), 'not found');
    const labels = await labelsOf(client, sha256(index));
    assert.equal(labels['containerd.io/gc.ref.content.m.0'], arm.manifest.digest);
    assert.equal(labels['containerd.io/gc.ref.content.m.1'], busybox.manifest.digest);
    if (t.target === 'davit') {
      const riscv = { platforms: [{ os: 'linux', architecture: 'riscv64' }] };
      await fails(
        pull(t.inNewNamespace(), name, riscv),
        'not found',
        /linux\/riscv64, there are linux\/arm64, linux\//,
      );
    }
    await pull(client, name, { platforms: [], snapshotter: undefined });
    await client.content.Info({ digest: arm.layers[0]?.descriptor.digest ?? '' });
    const pushed = `${registry.host}/pushed/multi:all`;
    await push(client, name, pushed);
    assert.equal(sha256(rawManifest(pushed)), sha256(index));
    const target = path.join(folder, 'multi');
    execFileSync('skopeo', ['copy', '--all', '--src-tls-verify=false', `docker://${pushed}`, `dir:${target}`]);
    const copied = new Set(readdirSync(target));
    for (const { layers } of [arm, busybox])
      for (const { descriptor } of layers) assert.ok(copied.has(descriptor.digest.slice('sha256:'.length)));
    for (const architecture of ['arm64', HOST_PLATFORM.architecture]) {
      const { config } = architecture === 'arm64' ? arm : busybox;
      const read = ['inspect', '--raw', '--config', '--tls-verify=false', `--override-arch=${architecture}`];
      assert.equal(sha256(execFileSync('skopeo', [...read, `docker://${pushed}`])), config.digest);
    }
  });

  describe('with TLS and credentials', () => {
    const certificate = () => makeCertificate(folder, 'registry');
    const hosts = (host: string, text: string): string => {
      const root = mkdtempSync(path.join(folder, 'hosts-'));
      const place = path.join(root, host.replace(/:(\d+)$/, '_$1_'));
      mkdirSync(place);
      writeFileSync(path.join(place, 'hosts.toml'), text);
      return root;
    };

    it('trusts the authority that hosts.toml names, and no other', async () => {
      const tls = certificate();
      const secure = await startRegistry({ folder: path.join(folder, 'data'), tls });
      try {
        const name = `${secure.host}/test/busybox:1`;
        const hostsFolder = hosts(secure.host, `server = "https://${secure.host}"\nca = "${tls.cert}"\n`);
        await pull(t.inNewNamespace(), name, { hostsFolder, tls: true });
        // containerd does not check the certificates of loopback.
        if (t.target === 'davit') {
          const untrusted = pull(t.inNewNamespace(), name, { tls: true });
          await fails(
            untrusted,
            'unavailable',
            /certificate signed by an unknown authority .*hosts\.toml or with --tls/,
          );
        }
        const skip = hosts(secure.host, `server = "https://${secure.host}"\nskip_verify = true\n`);
        await pull(t.inNewNamespace(), name, { hostsFolder: skip, tls: true });
      } finally {
        await secure.stop();
      }
    });

    it('shows a user and password where they are asked for', async () => {
      const guarded = await startRegistry({ folder: path.join(folder, 'data'), basic: true });
      try {
        const name = `${guarded.host}/test/busybox:1`;
        const client = t.inNewNamespace();
        await pull(client, name, { credentials: USER });
        await push(client, name, `${guarded.host}/basic/busybox:1`, USER);
        if (t.target !== 'davit') return;
        const wrong = { username: 'alice', secret: 'guess' };
        await fails(pull(t.inNewNamespace(), name, { credentials: wrong }), 'unauthenticated', /401: .*credentials/);
        await fails(pull(t.inNewNamespace(), name), 'unauthenticated', /credentials are missing or wrong/);
      } finally {
        await guarded.stop();
      }
    });

    it('asks mirrors first, and goes on to the next', async () => {
      const empty = await fakeServer(() => undefined);
      const name = 'registry.invalid/test/busybox:1';
      const text = [
        'server = "https://registry.invalid"',
        '[host."http://127.0.0.1:1"]',
        `[host."http://${empty.host}"]`,
        `[host."http://${wire.host}"]`,
        'capabilities = ["pull", "resolve"]',
      ];
      const before = wire.requests.length;
      await pull(t.inNewNamespace(), name, { hostsFolder: hosts('registry.invalid', text.join('\n')), tls: true });
      await empty.close();
      assert.ok(empty.requests.every(({ line }) => line.includes('ns=registry.invalid')));
      assert.ok(wire.requests.slice(before).every((line) => line.includes('ns=registry.invalid')));
      if (t.target !== 'davit') return;
      const broken = hosts('registry.invalid', '[host."http://x"]\ncapabilities = ["sing"]\n');
      const failure = pull(t.inNewNamespace(), name, { hostsFolder: broken, tls: true });
      await fails(failure, 'invalid argument', /hosts\.toml: host\."http:\/\/x"\.capabilities: must be a list of pull/);
    });
  });
});
