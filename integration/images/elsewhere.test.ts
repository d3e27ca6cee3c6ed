// Registries that send us to where we should not go: to this machine's own services, from https to http, to
// wait for ever.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, describe, it } from 'mocha';
import { collect, fails } from '../harness/expect.ts';
import { described, fakeRegistry, json, pullFrom, TYPES, type Answer } from '../harness/fake-registry.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { fakeServer, makeCertificate, USER, type FakeServer } from '../harness/registry.ts';
import { targetOf } from '../harness/target.ts';

(targetOf(process.env) === 'davit' ? describe : describe.skip)('registries that send us elsewhere', () => {
  const t = useDaemon();
  const folder = mkdtempSync('/tmp/davit-elsewhere-');
  const open: FakeServer[] = [];
  const busybox = busyboxImage();
  const manifest = busybox.blobs.get(busybox.manifest.digest) ?? Buffer.alloc(0);

  afterEach(async () => {
    for (const server of open.splice(0)) await server.close();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const kept = async (server: Promise<FakeServer>): Promise<FakeServer> => {
    open.push(await server);
    return await server;
  };
  /** The same server by an address that is not loopback's, as far as anybody can tell. */
  const faraway = ({ host }: FakeServer): string => host.replace('127.0.0.1', '0.0.0.0');
  const redirect =
    (to: string): Answer =>
    (request, response) => {
      if ((request.url ?? '').includes('/blobs/')) response.writeHead(307, { location: to }).end();
    };

  it('reaches no service of this machine on the word of a registry far away', async () => {
    const inside = await kept(fakeServer((_request, response) => void response.end('secret')));
    const port = inside.host.split(':')[1] ?? '';
    const places = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, `[::ffff:127.0.0.1]:${port}`];
    for (const place of [...places, `2130706433:${port}`, `0.0.0.0:${port}`, '169.254.169.254', '[fe80::1]']) {
      const registry = await kept(fakeRegistry([[TYPES.manifest, manifest]], redirect(`http://${place}/x`)));
      const client = t.inNewNamespace();
      // Where it is itself it may send us.
      if (place.startsWith('0.0.0.0')) continue;
      await fails(pullFrom(client, faraway(registry)), 'permission denied', /an address of this machine/);
    }
    assert.deepEqual(inside.requests, []);
  });

  it('nor on the word of a manifest, nor for a token', async () => {
    const inside = await kept(fakeServer((_request, response) => void response.end('{"token":"x"}')));
    const layer = randomBytes(100);
    const config = busybox.blobs.get(busybox.config.digest) ?? Buffer.alloc(0);
    const layers = [described(TYPES.layer, layer, { urls: [`http://${inside.host}/layer`] })];
    const foreign = json({
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: described(TYPES.config, config),
      layers,
    });
    const registry = await kept(
      fakeRegistry([
        [TYPES.manifest, foreign],
        [TYPES.config, config],
      ]),
    );
    await fails(pullFrom(t.inNewNamespace(), faraway(registry), { snapshotter: '' }), 'permission denied');
    const realm = `Bearer realm="http://${inside.host}/token",service="x"`;
    const guarded = await kept(
      fakeRegistry([], (_request, response) => void response.writeHead(401, { 'www-authenticate': realm }).end()),
    );
    const done = pullFrom(t.inNewNamespace(), faraway(guarded), { credentials: USER });
    await fails(done, 'permission denied', /an address of this machine/);
    assert.deepEqual(inside.requests, []);
  });

  it('goes from https to http never, with or without credentials', async () => {
    const tls = makeCertificate(folder, 'registry');
    const plain = await kept(fakeServer((_request, response) => void response.end('x')));
    const hostsFolder = (host: string): string => {
      const root = mkdtempSync(path.join(folder, 'hosts-'));
      const place = path.join(root, host.replace(/:(\d+)$/, '_$1_'));
      mkdirSync(place);
      writeFileSync(path.join(place, 'hosts.toml'), `server = "https://${host}"\nca = "${tls.cert}"\n`);
      return root;
    };
    const redirecting = await kept(fakeRegistry([[TYPES.manifest, manifest]], redirect(`http://${plain.host}/x`), tls));
    const to = (host: string) => ({ tls: true, hostsFolder: hostsFolder(host), credentials: USER });
    await fails(
      pullFrom(t.inNewNamespace(), redirecting.host, to(redirecting.host)),
      'permission denied',
      /redirected from https to http:/,
    );
    const realm = `Bearer realm="http://${plain.host}/token",service="x"`;
    const guarded = await kept(
      fakeRegistry([], (_request, response) => void response.writeHead(401, { 'www-authenticate': realm }).end(), tls),
    );
    await fails(
      pullFrom(t.inNewNamespace(), guarded.host, to(guarded.host)),
      'permission denied',
      /the registry is https, its token service is not/,
    );
    // A registry that is asked for by https and speaks http: nobody has said that it may.
    const downgraded = faraway(await kept(fakeRegistry([[TYPES.manifest, manifest]])));
    await fails(pullFrom(t.inNewNamespace(), downgraded, { tls: true }), 'unavailable', /does not speak TLS/);
    assert.deepEqual(plain.requests, []);
  });

  it('ends redirects that go round, also over two hosts', async () => {
    let [first, second] = ['', ''];
    const bounce =
      (to: () => string): Answer =>
      (request, response) =>
        void response.writeHead(302, { location: `http://${to()}${request.url ?? ''}` }).end();
    const one = await kept(fakeServer(bounce(() => second)));
    const two = await kept(fakeServer(bounce(() => first)));
    [first, second] = [one.host, two.host];
    await fails(pullFrom(t.inNewNamespace(), one.host), 'failed precondition', /more than 5 redirects/);
    assert.ok(one.requests.length + two.requests.length <= 12, 'of HEAD and of GET');
  });

  it('takes no bytes beyond what a layer is to have, and keeps none of them', async () => {
    const layer = randomBytes(1000);
    const config = busybox.blobs.get(busybox.config.digest) ?? Buffer.alloc(0);
    const layers = [described(TYPES.layer, layer)];
    const longer = json({
      schemaVersion: 2,
      mediaType: TYPES.manifest,
      config: described(TYPES.config, config),
      layers,
    });
    let sent = 0;
    const registry = await kept(
      fakeRegistry(
        [
          [TYPES.manifest, longer],
          [TYPES.config, config],
        ],
        (request, response) => {
          if (!(request.url ?? '').includes(layers[0]?.digest ?? '')) return;
          response.writeHead(200);
          const more = (): void => {
            while (!response.destroyed && response.write(randomBytes(65_536))) sent += 65_536;
          };
          response.on('drain', more);
          more();
        },
      ),
    );
    const client = t.inNewNamespace();
    await fails(pullFrom(client, registry.host), 'data loss', /more than 1000 bytes/);
    assert.ok(sent < 8 * 1024 * 1024, `${sent} bytes were sent`);
    const { statuses } = await client.content.ListStatuses({});
    assert.ok(
      statuses.every(({ offset }) => Number(offset) <= 1000),
      JSON.stringify(statuses),
    );
    assert.deepEqual((await client.images.List({})).images, []);
    assert.ok((await collect(client.content.List({}))).length <= 1);
  });
});
