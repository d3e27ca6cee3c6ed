// A registry that means harm: what it sends must not get out of hand, and learns nothing it should not.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { afterEach, describe, it } from 'mocha';
import type { Credentials } from '../../client/images/credentials.ts';
import { collect, fails } from '../harness/expect.ts';
import { described, fakeRegistry, json, pullFrom, TYPES, type Answer } from '../harness/fake-registry.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, sha256 } from '../harness/image.ts';
import { fakeServer, USER, type FakeServer } from '../harness/registry.ts';
import { targetOf } from '../harness/target.ts';

const { manifest: MANIFEST, index: INDEX, config: CONFIG, layer: LAYER } = TYPES;

(targetOf(process.env) === 'davit' ? describe : describe.skip)('hostile registries', () => {
  const t = useDaemon();
  const servers: FakeServer[] = [];
  const busybox = busyboxImage();

  afterEach(async () => {
    for (const server of servers.splice(0)) await server.close();
  });

  const serve = async (answer: Answer): Promise<FakeServer> => {
    const server = await fakeServer(answer);
    servers.push(server);
    return server;
  };

  const registry = async (...parts: Parameters<typeof fakeRegistry>): Promise<FakeServer> => {
    const server = await fakeRegistry(...parts);
    servers.push(server);
    return server;
  };

  const pull = (host: string, credentials?: Credentials, snapshotter = 'overlayfs') => {
    const client = t.inNewNamespace();
    return { client, done: pullFrom(client, host, { credentials, snapshotter }) };
  };

  it('gives credentials to the registry alone, not to where it sends us', async () => {
    const blobs = [...busybox.blobs.values()].map((bytes) => ['application/octet-stream', bytes] as const);
    const elsewhere = await registry(blobs);
    const right = `Basic ${Buffer.from(`${USER.username}:${USER.secret}`).toString('base64')}`;
    const manifest = busybox.blobs.get(busybox.manifest.digest) ?? Buffer.alloc(0);
    const first = await registry([[MANIFEST, manifest]], (request, response) => {
      if (request.headers.authorization !== right)
        return void response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      if (/\/blobs\//.test(request.url ?? ''))
        response.writeHead(307, { location: `http://${elsewhere.host}${request.url}` }).end();
    });
    await pull(first.host, USER).done;
    assert.ok(elsewhere.requests.length >= 2, 'blobs came from there');
    for (const { headers } of elsewhere.requests) assert.equal(headers.authorization, undefined);
  });

  it('shows nothing of us to the urls of a layer', async () => {
    const layer = randomBytes(1000);
    const config = busybox.blobs.get(busybox.config.digest) ?? Buffer.alloc(0);
    const foreign = await serve((_request, response) => void response.end(layer));
    const layers = [described(LAYER, layer, { urls: [`http://${foreign.host}/layer`] })];
    const manifest = json({ schemaVersion: 2, mediaType: MANIFEST, config: described(CONFIG, config), layers });
    const first = await registry(
      [
        [MANIFEST, manifest],
        [CONFIG, config],
      ],
      (request, response) => {
        if (request.headers.authorization === undefined)
          response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
      },
    );
    await pull(first.host, USER, '').done;
    assert.deepEqual(
      foreign.requests.map(({ line, headers }) => [line, headers.authorization]),
      [['GET /layer', undefined]],
    );
  });

  it('refuses a manifest that is an index as well', async () => {
    const config = Buffer.from('{}');
    const both = json({
      schemaVersion: 2,
      config: described(CONFIG, config),
      layers: [],
      manifests: [described(MANIFEST, config)],
    });
    for (const type of [MANIFEST, INDEX]) {
      const { host } = await registry([[type, both]]);
      await fails(pull(host).done, 'invalid argument', /is an index as well|is a manifest as well/);
    }
  });

  it('refuses documents that call themselves something else', async () => {
    const index = json({
      schemaVersion: 2,
      mediaType: INDEX,
      config: described(CONFIG, Buffer.from('{}')),
      layers: [],
    });
    const { host } = await registry([[MANIFEST, index]]);
    await fails(pull(host).done, 'invalid argument', /calls itself/);
  });

  it('refuses digests that are paths, sizes that are none, and schema 1', async () => {
    const config = described(CONFIG, Buffer.from('{}'));
    const layers = (more: object) => [{ ...described(LAYER, Buffer.from('x')), ...more }];
    const cases: readonly (readonly [object, RegExp])[] = [
      [{ layers: layers({ digest: 'sha256:../../../../etc/passwd' }) }, /digest "sha256:\.\./],
      [{ layers: layers({ digest: `sha256:${'A'.repeat(64)}` }) }, /invalid checksum digest format/],
      [{ layers: layers({ size: -1 }) }, /has the size -1/],
      [{ layers: layers({ size: 2 ** 60 }) }, /has the size/],
      [{ layers: 'x' }, /has no layers/],
    ];
    for (const [more, text] of cases) {
      const { host } = await registry([[MANIFEST, json({ schemaVersion: 2, mediaType: MANIFEST, config, ...more })]]);
      await fails(pull(host).done, 'invalid argument', text);
    }
    const old = json({ schemaVersion: 1, name: 'x', tag: '1', fsLayers: [] });
    const { host } = await registry([['application/vnd.docker.distribution.manifest.v1+prettyjws', old]]);
    await fails(pull(host).done, 'invalid argument', /schema 1 image manifests are no longer supported/);
  });

  it('reads no more of a document than a document has', async () => {
    const endless: Answer = (request, response) => {
      if (!(request.url ?? '').includes('/manifests/')) return;
      response.writeHead(200, { 'content-type': MANIFEST });
      if (request.method === 'HEAD') return void response.end();
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65536, 0x20)));
      };
      response.on('drain', more);
      more();
    };
    const { host } = await serve(endless);
    await fails(pull(host).done, 'resource exhausted', /more than 8388608 bytes/);
    const config = described(CONFIG, Buffer.from('{}'), { size: 5 });
    const manifest = json({ schemaVersion: 2, mediaType: MANIFEST, config, layers: [] });
    const longer = await registry([[MANIFEST, manifest]], (request, response) => {
      if ((request.url ?? '').includes('/blobs/')) response.end(Buffer.alloc(1024 * 1024));
    });
    await fails(pull(longer.host).done, 'data loss', /more than 5 bytes/);
  });

  it('ends indexes within indexes, and redirects in a circle', async () => {
    let inner: Buffer = Buffer.from('{}');
    const documents: [string, Buffer][] = [];
    for (let depth = 0; depth < 8; depth++) {
      inner = json({
        schemaVersion: 2,
        mediaType: INDEX,
        manifests: [described(depth === 0 ? MANIFEST : INDEX, inner)],
      });
      documents.unshift([INDEX, inner]);
    }
    const { host } = await registry(documents);
    await fails(pull(host).done, 'invalid argument', /indexes within indexes/);
    const circle = await serve(
      (request, response) => void response.writeHead(302, { location: request.url ?? '/' }).end(),
    );
    await fails(pull(circle.host).done, 'failed precondition', /more than 5 redirects/);
  });

  it('keeps nothing of a failed pull but what it may go on with', async () => {
    const config = described(CONFIG, Buffer.from('{}'));
    const wrong = { ...config, digest: sha256(Buffer.from('other')) };
    const manifest = json({ schemaVersion: 2, mediaType: MANIFEST, config: wrong, layers: [] });
    const { host } = await registry([[MANIFEST, manifest]], (request, response) => {
      if ((request.url ?? '').includes('/blobs/')) response.end('{}');
    });
    const { client, done } = pull(host);
    await fails(done, 'data loss', /has another digest/);
    assert.deepEqual((await client.images.List({})).images, []);
    assert.deepEqual((await client.leases.List({})).leases, []);
    // Under a lease of the client's nothing else would take wrong bytes away.
    const { lease } = await client.leases.Create({ id: 'own' });
    await fails(pullFrom(client.with({ lease: lease?.id }), host), 'data loss', /has another digest/);
    assert.deepEqual((await client.content.ListStatuses({})).statuses, []);
    await client.leases.Delete({ id: 'own' });
    assert.ok((await collect(client.content.List({}))).length <= 1);
  });

  it('shows what a registry says on one line, and short', async () => {
    const text = { errors: [{ code: 'DENIED', message: `no\u001B[2J\n${'x'.repeat(10_000)}` }] };
    const { host } = await serve((_request, response) => void response.writeHead(403).end(JSON.stringify(text)));
    const error = await fails(pull(host).done, 'permission denied', /403: no/);
    assert.ok(error.message.length < 700 && !/[\n\u001B]/.test(error.message), error.message);
  });
});
