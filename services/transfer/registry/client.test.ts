import assert from 'node:assert/strict';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, it } from 'mocha';
import { digestOf } from '../../lib/digest.ts';
import { kindOf } from '../../lib/errors.ts';
import { parseReference } from '../../lib/references.ts';
import { createRepository, type Repository } from './client.ts';

const signal = new AbortController().signal;
const BYTES = Buffer.from('0123456789');
const BLOB = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(BYTES), size: BYTES.length };

describe('the client of registries', () => {
  const open: { close(): void }[] = [];
  afterEach(() => {
    for (const each of open.splice(0)) each.close();
  });

  async function serve(answer: (request: IncomingMessage, response: ServerResponse, count: number) => void) {
    let count = 0;
    const server: Server = createServer((request, response) => answer(request, response, ++count));
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    open.push({
      close() {
        server.closeAllConnections();
        server.close();
      },
    });
    return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, count: () => count };
  }

  function repository(host: string, patience?: { silence: number; document: number }): Repository {
    const made = createRepository(parseReference(`${host}/a/b:1`), {
      ...(patience === undefined ? {} : { patience }),
      folders: [],
      defaultScheme: 'http',
      environment: {},
      headers: {},
      credentials: () => Promise.resolve(undefined),
    });
    open.push(made);
    return made;
  }

  async function read(from: Repository, offset: number): Promise<[offset: number, text: string]> {
    const blob = await from.blob(BLOB, offset, signal);
    const chunks: Buffer[] = [];
    for await (const chunk of blob.body) chunks.push(chunk);
    return [blob.offset, Buffer.concat(chunks).toString()];
  }

  it('waits as long as the registry says, and asks again', async () => {
    const { host, count } = await serve((_request, response, asked) => {
      if (asked < 3) return void response.writeHead(429, { 'retry-after': '0' }).end();
      response.writeHead(200, {
        'content-type': 'application/vnd.oci.image.manifest.v1+json',
        'content-length': 5,
        'docker-content-digest': BLOB.digest,
      });
      response.end();
    });
    const { digest, size } = await repository(host).resolve(signal);
    assert.deepEqual([digest, size, count()], [BLOB.digest, 5, 3]);
  });

  it('says where bytes begin when the registry cannot begin where it was asked to', async () => {
    const whole = await serve((_request, response) => void response.end(BYTES));
    assert.deepEqual(await read(repository(whole.host), 4), [0, '0123456789']);
    const ranged = await serve((request, response) => {
      const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1]);
      response.writeHead(206, { 'content-range': `bytes ${start}-9/10` }).end(BYTES.subarray(start));
    });
    assert.deepEqual(await read(repository(ranged.host), 4), [4, '456789']);
    const lying = await serve((_request, response) => {
      response.writeHead(206, { 'content-range': 'bytes 6-9/10' }).end(BYTES.subarray(6));
    });
    await assert.rejects(read(repository(lying.host), 4), /got those from 6 on/);
  });

  it('tells a body that was cut from one that ended', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 10 });
      response.write(BYTES.subarray(0, 5));
      setTimeout(() => response.destroy(), 20);
    });
    await assert.rejects(read(repository(host), 0), (error) => kindOf(error) === 'unavailable');
  });

  it('finds referrers by their API, or by the tag that older registries keep', async () => {
    const one = { ...BLOB, artifactType: 'application/x-one' };
    const two = { ...BLOB, artifactType: 'application/x-two' };
    const index = (...manifests: object[]): string => JSON.stringify({ schemaVersion: 2, manifests });
    const path = `/v2/a/b/referrers/${BLOB.digest}`;
    const now = await serve((request, response) => {
      if (request.url === path) response.setHeader('link', `<${path}?page=2>; rel="next"`).end(index(one));
      else if (request.url === `${path}?page=2`) response.end(index(two));
      else response.writeHead(404).end();
    });
    assert.deepEqual(await repository(now.host).referrers(BLOB.digest, signal), [one, two]);
    const before = await serve((request, response) => {
      if (request.url === `/v2/a/b/manifests/${BLOB.digest.replace(':', '-')}`) response.end(index(one));
      else response.writeHead(404).end();
    });
    assert.deepEqual(await repository(before.host).referrers(BLOB.digest, signal), [one]);
    const none = await serve((_request, response) => void response.writeHead(404).end());
    assert.deepEqual(await repository(none.host).referrers(BLOB.digest, signal), []);
    const elsewhere = await serve((_request, response) => {
      response.setHeader('link', '<http://127.0.0.1:1/next>; rel="next"').end(index(one));
    });
    await assert.rejects(
      repository(elsewhere.host).referrers(BLOB.digest, signal),
      /goes on at "http:\/\/127\.0\.0\.1:1/,
    );
    const endless = await serve((request, response) => {
      response.setHeader('link', `<${request.url ?? ''}>; rel="next"`).end(index(one));
    });
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on('warning', warned);
    await assert.rejects(repository(endless.host).referrers(BLOB.digest, signal), /resource exhausted$/);
    process.off('warning', warned);
    assert.deepEqual(warnings, [], 'a connection for all pages, and nothing that piles up on it');
  });

  it('lists what it pushes under its subject’s tag where the registry does not', async () => {
    const manifest = { artifactType: 'application/x-signature', config: { mediaType: 'x' }, subject: BLOB };
    const body = Buffer.from(JSON.stringify(manifest));
    const own = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: digestOf(body), size: body.length };
    const push = async (answer: (line: string, response: ServerResponse) => void): Promise<string[]> => {
      const puts: string[] = [];
      const { host } = await serve((request, response) => {
        let sent = '';
        request.on('data', (chunk: Buffer) => (sent += chunk.toString()));
        request.on('end', () => {
          const line = `${request.method} ${(request.url ?? '').replace('/v2/a/b/', '')}`;
          if (request.method === 'PUT') puts.push(`${line} ${sent}`);
          answer(line, response);
          if (!response.writableEnded) response.writeHead(request.method === 'PUT' ? 201 : 404).end();
        });
      });
      await repository(host).putManifest('1', own, body, signal);
      return puts;
    };
    const tag = `PUT manifests/${BLOB.digest.replace(':', '-')} `;
    const [, listed = ''] = await push(() => undefined);
    assert.ok(listed.startsWith(tag));
    const [{ artifactType, digest }] = (
      JSON.parse(listed.slice(tag.length)) as { manifests: [typeof manifest & typeof own] }
    ).manifests;
    assert.deepEqual([artifactType, digest], ['application/x-signature', own.digest]);
    const knows = await push((line, response) => {
      if (line.startsWith('PUT')) response.writeHead(201, { 'oci-subject': BLOB.digest }).end();
    });
    assert.equal(knows.length, 1);
    const again = await push((line, response) => {
      if (line.startsWith('GET manifests/sha256-')) response.end(`{"manifests":[${JSON.stringify(own)}]}`);
    });
    assert.equal(again.length, 1);
  });

  it('resumes an upload where the registry knows how far it is', async () => {
    const sent: string[] = [];
    const { host } = await serve((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        sent.push(`${request.method} ${request.headers['content-range'] ?? ''} ${body}`.trim());
        if (request.method === 'GET') response.writeHead(204, { location: '/up?state=2', range: '0-3' }).end();
        else if (request.method === 'PATCH') response.writeHead(202, { location: '/up?state=3' }).end();
        else response.writeHead(201).end();
      });
    });
    const to = repository(host);
    const status = await to.uploadStatus(new URL(`http://${host}/up?state=1`), signal);
    assert.equal(status?.offset, 4);
    const rest = async function* () {
      yield await Promise.resolve(BYTES.subarray(4));
    };
    const upload = { digest: BLOB.digest, size: 10, offset: 4, bytes: rest() };
    await to.upload(status?.session ?? new URL('http://x'), upload, signal);
    assert.deepEqual(sent, ['GET', 'PATCH 4-9 456789', 'PUT']);
  });

  it('ends at once when its caller does', async () => {
    const { host } = await serve(() => undefined);
    const gone = new AbortController();
    const asked = repository(host).resolve(gone.signal);
    setTimeout(() => gone.abort(new Error('gone')), 50);
    await assert.rejects(asked, /gone/);
  });

  it('does not wait for ever for one that says nothing, or too little at a time', async () => {
    const patience = { silence: 200, document: 500 };
    const mute = await serve(() => undefined);
    await assert.rejects(
      repository(mute.host, patience).blob(BLOB, 0, signal),
      /no answer within 0\.2 s: unavailable$/,
    );
    const halting = await serve((_request, response) => void response.writeHead(200).write('0'));
    const from = repository(halting.host, patience);
    await assert.rejects(read(from, 0), /the connection was cut|no answer within 0\.2 s/);
    const dripping = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    });
    await assert.rejects(repository(dripping.host, patience).resolve(signal), (error) => {
      assert.match(String(error), /manifest 1: not complete within 0\.5 s: unavailable$/);
      return kindOf(error) === 'unavailable';
    });
  });
});
