// Ways to a registry: with client certificates, through proxies, past one that is busy; and what refers to an image there.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { createServer, request as httpRequest, type Server } from 'node:http';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { davitCommand } from '../harness/davit.ts';
import { fails } from '../harness/expect.ts';
import { fakeRegistry, pullFrom, TYPES } from '../harness/fake-registry.ts';
import { useDaemon } from '../harness/fixture.ts';
import { makeImage, makeLayer, ociArchive, sha256, type TestImage } from '../harness/image.ts';
import { importArchive } from '../harness/import.ts';
import { makeCertificate, seed, startRegistry, type TestRegistry } from '../harness/registry.ts';
import { targetOf } from '../harness/target.ts';
import { pull as pullPlain, push } from '../harness/transfer.ts';

/** An HTTP proxy that writes down what it is asked for, and by whom. */
interface Proxy {
  readonly asked: readonly string[];
  close(): Promise<void>;
}

async function startProxy(server: Server, port: number): Promise<Proxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  server.on('request', (incoming, answer) => {
    asked.push(`${incoming.method} ${incoming.url} ${incoming.headers['proxy-authorization'] ?? ''}`);
    const { 'proxy-authorization': _own, ...headers } = incoming.headers;
    const onward = httpRequest(incoming.url ?? '', { method: incoming.method, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    onward.on('error', () => answer.destroy());
    incoming.pipe(onward);
  });
  server.on('connect', (incoming, socket: Socket) => {
    asked.push(`CONNECT ${incoming.url} ${incoming.headers['proxy-authorization'] ?? ''}`);
    const [host = '', port = ''] = (incoming.url ?? '').split(':');
    const onward = connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      socket.pipe(onward).pipe(socket);
    });
    onward.on('error', () => socket.destroy());
  });
  await new Promise<void>((resolve) => void server.listen(port, '127.0.0.1', resolve));
  return {
    asked,
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    },
  };
}

(targetOf(process.env) === 'davit' ? describe : describe.skip)('ways to a registry', () => {
  // The daemon is told of the proxy before that listens.
  const port = 20_000 + (process.pid % 10_000);
  const proxied = `http://user:word@127.0.0.1:${port}`;
  const environment = { HTTP_PROXY: proxied, HTTPS_PROXY: proxied, NO_PROXY: 'unused.example', http_proxy: proxied };
  const t = useDaemon({ environment });
  const folder = mkdtempSync('/tmp/davit-ways-');
  const tls = makeCertificate(folder, 'registry');
  let plain: TestRegistry;

  before(async () => {
    plain = await startRegistry({ folder: path.join(folder, 'data') });
  });
  after(async () => {
    await plain.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** An image that the daemon has nothing of yet, in a repository of its own. */
  const seedFresh = async (repository: string): Promise<TestImage> => {
    const fill = (name: string) => makeLayer([{ name, content: randomBytes(5000) }]);
    const image = makeImage(repository, [fill('one'), fill('two')]);
    await seed(plain.host, repository, '1', image);
    return image;
  };

  const hosts = (host: string, text: string): string => {
    const root = mkdtempSync(path.join(folder, 'hosts-'));
    const place = path.join(root, host.replace(/:(\d+)$/, '_$1_'));
    mkdirSync(place);
    writeFileSync(path.join(place, 'hosts.toml'), `server = "https://${host}"\n${text}`);
    return root;
  };
  const pull = (client: Client, reference: string, hostsFolder?: string): Promise<void> =>
    pullPlain(client, reference, { hostsFolder, tls: hostsFolder !== undefined });

  it('shows a client certificate where hosts.toml has one, and says when one is missing', async () => {
    await seedFresh('certified/image');
    const own = makeCertificate(folder, 'client');
    const guarded = await startRegistry({ folder: path.join(folder, 'data'), tls, clientAuthority: own.cert });
    try {
      const name = `${guarded.host}/certified/image:1`;
      const ca = `ca = "${tls.cert}"\n`;
      await pull(t.inNewNamespace(), name, hosts(guarded.host, `${ca}client = [["${own.cert}", "${own.key}"]]\n`));
      const missing = pull(t.inNewNamespace(), name, hosts(guarded.host, ca));
      const error = await fails(missing, 'unavailable', /client certificate.*client = in hosts\.toml/);
      assert.ok(!error.message.includes('\n'));
      const stranger = makeCertificate(folder, 'stranger');
      const wrong = hosts(guarded.host, `${ca}client = [["${stranger.cert}", "${stranger.key}"]]\n`);
      await fails(pull(t.inNewNamespace(), name, wrong), 'unavailable', /certificate/);
    } finally {
      await guarded.stop();
    }
  });

  it('goes through the proxies of its environment, http and https, and shows them their password', async () => {
    for (const name of ['proxied/plain', 'proxied/secure']) await seedFresh(name);
    const secure = await startRegistry({ folder: path.join(folder, 'data'), tls });
    // An address of this machine's that is not known as loopback: that would be reached without a proxy.
    const faraway = (host: string): string => host.replace('127.0.0.1', '0.0.0.0');
    const proxy = await startProxy(createServer(), port);
    try {
      const password = `Basic ${Buffer.from('user:word').toString('base64')}`;
      await pull(t.inNewNamespace(), `${faraway(plain.host)}/proxied/plain:1`);
      assert.ok(proxy.asked.length >= 5 && proxy.asked.every((line) => line.endsWith(password)), proxy.asked.join());
      assert.ok(proxy.asked.every((line) => / http:\/\/0\.0\.0\.0:\d+\/v2\//.test(line)));
      const before = proxy.asked.length;
      const name = `${faraway(secure.host)}/proxied/secure:1`;
      await pull(t.inNewNamespace(), name, hosts(faraway(secure.host), 'skip_verify = true\n'));
      const later = proxy.asked.slice(before);
      assert.ok(later.length > 0 && later.every((line) => line === `CONNECT ${faraway(secure.host)} ${password}`));
      // Not for loopback.
      await pull(t.inNewNamespace(), `${plain.host}/proxied/plain:1`);
      assert.equal(proxy.asked.length, before + later.length);
    } finally {
      await proxy.close();
      await secure.stop();
    }
    await fails(
      pull(t.inNewNamespace(), `${faraway(plain.host)}/proxied/plain:1`),
      'unavailable',
      /: 127\.0\.0\.1:\d+, the proxy of the daemon's environment: .*ECONNREFUSED/,
    );
  });

  it('waits for a registry that is busy, at every step', async () => {
    const refusals = new Map<string, number>();
    const image = await seedFresh('busy/image');
    const documents = [...image.blobs].map(([digest, bytes]): [string, Buffer] => [
      digest === image.manifest.digest ? TYPES.manifest : 'application/octet-stream',
      bytes,
    ]);
    const busy = await fakeRegistry(
      documents.toSorted(([a]) => (a === TYPES.manifest ? -1 : 1)),
      (request, response) => {
        const line = `${request.method} ${request.url}`;
        const count = refusals.get(line) ?? 0;
        refusals.set(line, count + 1);
        if (count < 2) response.writeHead([429, 503][count] ?? 0, { 'retry-after': '0' }).end();
      },
    );
    try {
      await pullFrom(t.inNewNamespace(), busy.host);
      assert.ok(refusals.size >= 5 && [...refusals.values()].every((count) => count >= 3), [...refusals].join());
    } finally {
      await busy.close();
    }
  });

  it('pushes what anybody reads back over plain HTTP, every manifest and blob', async () => {
    const client = t.inNewNamespace();
    const image = await seedFresh('read/from');
    const name = `${plain.host}/read/from:1`;
    await pull(client, name);
    await push(client, name, `${plain.host}/read/back:3`);
    const base = `http://${plain.host}/v2/read/back`;
    const manifest = await fetch(`${base}/manifests/3`, { headers: { accept: TYPES.manifest } });
    assert.equal(manifest.headers.get('content-type'), TYPES.manifest);
    assert.equal(sha256(Buffer.from(await manifest.arrayBuffer())), image.manifest.digest);
    for (const { digest } of [image.config, ...image.layers.map((layer) => layer.descriptor)])
      assert.equal(sha256(Buffer.from(await (await fetch(`${base}/blobs/${digest}`)).arrayBuffer())), digest);
    const { tags } = (await (await fetch(`${base}/tags/list`)).json()) as { tags: string[] };
    assert.deepEqual(tags, ['3']);
  });

  it('lists what refers to an image, under a tag where the registry knows no better', async () => {
    const davit = davitCommand(t);
    const subject = await seedFresh('referred/image');
    const repository = `${plain.host}/referred/image`;
    const name = `${repository}:1`;
    const listed = (...args: string[]): string[] =>
      davit
        .ok(['images', 'referrers', '--plain-http', '--quiet', ...args, name])
        .split('\n')
        .filter((line) => line !== '');
    assert.deepEqual(listed(), []);
    const pushed: string[] = [];
    for (const kind of ['signature', 'parts']) {
      const signature = makeImage(`example.com/${kind}:1`, [makeLayer([{ name: kind, content: kind }])]);
      const { config, layers } = signature;
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: signature.manifest.mediaType,
          artifactType: `application/x-${kind}`,
          config,
          layers: layers.map(({ descriptor }) => descriptor),
          subject: subject.manifest,
        }),
      );
      const digest = sha256(manifest);
      const blobs = new Map([...signature.blobs, [digest, manifest]]);
      const target = { ...signature.manifest, digest, size: manifest.length };
      await importArchive(t.client, ociArchive([{ ...signature, manifest: target, blobs }]));
      await push(t.client, signature.name, `${repository}:${kind}`);
      pushed.push(digest);
    }
    // Once more: it is on the list already.
    await push(t.client, 'example.com/parts:1', `${repository}:parts`);
    assert.deepEqual(listed(), pushed);
    assert.deepEqual(listed('--artifact-type', 'application/x-parts'), pushed.slice(1));
    const tag = `http://${plain.host}/v2/referred/image/manifests/${subject.manifest.digest.replace(':', '-')}`;
    const answer = await fetch(tag, { headers: { accept: TYPES.index } });
    const { manifests } = (await answer.json()) as { manifests: { digest: string; artifactType: string }[] };
    assert.deepEqual(
      manifests.map(({ digest, artifactType }) => [digest, artifactType]),
      [
        [pushed[0], 'application/x-signature'],
        [pushed[1], 'application/x-parts'],
      ],
    );
    await pullPlain(t.inNewNamespace(), `${repository}@${pushed[0]}`, { snapshotter: undefined });
    const missing = davit.run(['images', 'referrers', '--plain-http', `${repository}:missing`]);
    assert.deepEqual([missing.status, missing.stderr.trim().split('\n').length], [1, 1]);
    assert.match(missing.stderr, /missing: 404: .*MANIFEST_UNKNOWN/);
  });
});
