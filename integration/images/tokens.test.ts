// Tokens: docker-registry behind token services that hand them out for a password or for an identity token.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { after, afterEach, before, describe, it } from 'mocha';
import { davitCommand } from '../harness/davit.ts';
import { fails } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { makeImage, makeLayer } from '../harness/image.ts';
import {
  fakeServer,
  makeCertificate,
  makeToken,
  seed,
  startRegistry,
  USER,
  type Certificate,
  type FakeServer,
  type TestRegistry,
} from '../harness/registry.ts';
import { targetOf } from '../harness/target.ts';
import { pull, push } from '../harness/transfer.ts';

(targetOf(process.env) === 'davit' ? describe : describe.skip)('registries that want tokens', () => {
  const t = useDaemon();
  const folder = mkdtempSync('/tmp/davit-tokens-');
  let signer: Certificate;
  let tokens: FakeServer | undefined;
  let guarded: TestRegistry | undefined;

  before(async () => {
    signer = makeCertificate(folder, 'signer');
    const open = await startRegistry({ folder: path.join(folder, 'data') });
    const image = makeImage('layered', [makeLayer([{ name: 'a', content: randomBytes(1000) }])]);
    await seed(open.host, 'test/layered', '1', image);
    await open.stop();
  });
  afterEach(async () => {
    await guarded?.stop();
    await tokens?.close();
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** docker-registry, and a service that answers as the test says. */
  async function start(answer: Parameters<typeof fakeServer>[0]): Promise<{ host: string; asked: FakeServer }> {
    tokens = await fakeServer(answer);
    const realm = `http://${tokens.host}/token`;
    guarded = await startRegistry({ folder: path.join(folder, 'data'), token: { realm, signer } });
    return { host: guarded.host, asked: tokens };
  }

  it('fetches tokens for what it is about to do', async () => {
    const right = `Basic ${Buffer.from(`${USER.username}:${USER.secret}`).toString('base64')}`;
    const { host, asked } = await start((request, response) => {
      if (request.method !== 'GET') return void response.writeHead(405).end();
      if (request.headers.authorization !== right) return void response.writeHead(401).end('{"details":"who?"}');
      const scopes = new URL(request.url ?? '', 'http://x').searchParams.getAll('scope').join(' ').split(' ');
      response.end(JSON.stringify({ token: makeToken(signer, scopes), expires_in: 300 }));
    });
    const name = `${host}/test/layered:1`;
    const client = t.inNewNamespace();
    await pull(client, name, { credentials: USER });
    assert.equal(asked.requests.filter(({ line }) => line.startsWith('GET')).length, 1, 'one token for one scope');
    await push(client, name, `${host}/token/layered:1`, USER);
    const wrong = { username: 'alice', secret: 'guess' };
    const words = /token for .*: 401 with the credentials given/;
    await fails(pull(t.inNewNamespace(), name, { credentials: wrong }), 'unauthenticated', words);
  });

  it('exchanges the identity token of Docker’s configuration, and goes on with the one that comes back', async () => {
    let current = 'identity-0';
    let given = 0;
    const exchange = async (form: URLSearchParams, response: ServerResponse): Promise<void> => {
      const wanted = { grant_type: 'refresh_token', service: 'registry', refresh_token: current };
      if (Object.entries(wanted).some(([key, value]) => form.get(key) !== value) || !form.get('client_id'))
        return void response.writeHead(401).end('{"error":"invalid_grant"}');
      // The old one is worth nothing from now on.
      current = `identity-${++given}`;
      const token = makeToken(signer, (form.get('scope') ?? '').split(' '));
      response.end(JSON.stringify({ access_token: token, expires_in: 300, refresh_token: current }));
    };
    const { host, asked } = await start((request, response) => {
      if (request.method !== 'POST') return void response.writeHead(405).end();
      response.setHeader('x-late', '1');
      void text(request).then((body) => exchange(new URLSearchParams(body), response));
    });
    const davit = davitCommand(t);
    // The token service is in this process, which must not wait.
    const run = async (...args: string[]): Promise<[status: number | null, stderr: string]> => {
      const child = davit.start(args);
      child.stdout.resume();
      const [said, [status]] = await Promise.all([
        text(child.stderr),
        once(child, 'close') as Promise<[number | null]>,
      ]);
      return [status, said];
    };
    const login = (identitytoken: string): void => {
      const auths = { [host]: { auth: Buffer.from('00000000-0000:').toString('base64'), identitytoken } };
      writeFileSync(path.join(folder, 'config.json'), JSON.stringify({ auths }));
    };
    const before = process.env['DOCKER_CONFIG'];
    process.env['DOCKER_CONFIG'] = folder;
    try {
      const name = `${host}/test/layered:1`;
      login(current);
      assert.deepEqual(await run('pull', '--plain-http', name), [0, '']);
      login(current);
      // Two tokens: to write here, and then to read there, too, for the mount.
      assert.deepEqual(await run('push', '--plain-http', `${host}/identity/layered:1`, name), [0, '']);
      assert.deepEqual(
        asked.requests.map(({ line }) => line),
        Array.from({ length: 3 }, () => 'POST /token'),
      );
      login('stolen');
      const [status, said] = await run('pull', '--plain-http', name);
      assert.equal(status, 1);
      assert.match(said, /token for .*: 401 with the credentials given: .*invalid_grant/);
      assert.equal(said.includes('stolen'), false);
    } finally {
      if (before === undefined) delete process.env['DOCKER_CONFIG'];
      else process.env['DOCKER_CONFIG'] = before;
    }
  });
});
