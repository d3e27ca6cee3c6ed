import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import http2 from 'node:http2';
import { connect as netConnect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import {
  Client,
  Metadata,
  ServerCredentials,
  credentials,
  status,
  type Server,
  type ServiceError,
} from '@grpc/grpc-js';
import { after, before, describe, it } from 'mocha';
import { methodsOf } from '../../proto/messages.ts';
import { ImagesName, type ImagesService } from '../../proto/gen/containerd.services.images.v1.ts';
import { ContainersName, type ContainersService } from '../../proto/gen/containerd.services.containers.v1.ts';
import { notFound } from '../lib/errors.ts';
import { createLogger } from '../lib/log.ts';
import { registration } from './handlers.ts';
import { createServer } from './server.ts';

const IMAGES = '/containerd.services.images.v1.Images';
const CONTAINERS = '/containerd.services.containers.v1.Containers';
const PAGE = Buffer.alloc(64 * 1024);

describe('gRPC edge', () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'davit-edge-'));
  const socket = path.join(folder, 's');
  const finished: string[] = [];
  const lines: string[] = [];
  let server: Server;
  let client: Client;
  let produced = 0;
  let cancelled: Promise<void>;

  before(async () => {
    let sawCancel = (): void => undefined;
    cancelled = new Promise((resolve) => (sawCancel = resolve));
    const stream = new PassThrough();
    stream.on('data', (chunk: Buffer) => lines.push(String(chunk)));
    const images = registration<ImagesService>(ImagesName, {
      Get: ({ name }, call) => {
        if (name === 'integer code') throw Object.assign(new Error('exit 5'), { code: 5 });
        if (name === 'namespace') return { image: { name: call.namespace() } };
        throw notFound(`image "${name}"`);
      },
      Delete: async (_request, call) => {
        await new Promise<void>((resolve) => call.signal.addEventListener('abort', () => resolve()));
        sawCancel();
        return {};
      },
    });
    const containers = registration<ContainersService>(ContainersName, {
      // One page after the other, as fast as the client takes them.
      ListStream: async function* () {
        for (produced = 0; produced < 10_000; produced++) yield { container: { id: 'x', spec: { value: PAGE } } };
      },
    });
    const log = createLogger({ level: 'info', format: 'text', stream });
    await log.open();
    server = createServer(
      {
        log,
        observer: { finished: (method, code) => finished.push(`${method.split('/')[2]} ${code}`) },
      },
      { maxReceive: 1 << 20, maxSend: 1 << 20 },
      [images, containers],
    );
    await new Promise<void>((resolve, reject) =>
      server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    client = new Client(`unix:${socket}`, credentials.createInsecure());
  });

  after(() => {
    client.close();
    server.forceShutdown();
    rmSync(folder, { recursive: true });
  });

  function call(method: string, request: object, metadata = new Metadata()): Promise<{ error: ServiceError | null }> {
    const serialize = serializer(method);
    return new Promise((resolve) => {
      client.makeUnaryRequest(
        `${IMAGES}/${method}`,
        serialize,
        (bytes) => bytes,
        request,
        metadata,
        (error) => resolve({ error }),
      );
    });
  }

  it('sends a Failure with its code and its text as it is', async () => {
    const { error } = await call('Get', { name: 'x' });
    assert.equal(error?.code, status.NOT_FOUND);
    assert.equal(error?.details, 'image "x": not found');
    assert.equal(finished.at(-1), 'Get NotFound');
  });

  it('never takes an integer code of a foreign error for a status, and logs it once', async () => {
    lines.length = 0;
    const { error } = await call('Get', { name: 'integer code' });
    assert.equal(error?.code, status.UNKNOWN);
    assert.equal(error?.details, 'exit 5');
    assert.equal(lines.filter((line) => line.includes('exit 5')).length, 1);
  });

  it('demands a namespace, well formed', async () => {
    const missing = await call('Get', { name: 'namespace' });
    assert.equal(missing.error?.code, status.FAILED_PRECONDITION);
    assert.match(missing.error?.details ?? '', /namespace is required/);
    const bad = new Metadata();
    bad.set('containerd-namespace', 'a/b');
    assert.equal((await call('Get', { name: 'namespace' }, bad)).error?.code, status.INVALID_ARGUMENT);
    const good = new Metadata();
    good.set('containerd-namespace', 'default');
    assert.equal((await call('Get', { name: 'namespace' }, good)).error, null);
  });

  it('answers Unimplemented for a method without a handler', async () => {
    assert.equal((await call('List', {})).error?.code, status.UNIMPLEMENTED);
  });

  it('aborts the signal of a call whose deadline passes', async () => {
    const error = await new Promise<ServiceError | null>((resolve) => {
      client.makeUnaryRequest(
        `${IMAGES}/Delete`,
        serializer('Delete'),
        (bytes) => bytes,
        {},
        new Metadata(),
        { deadline: Date.now() + 50 },
        (failure) => resolve(failure),
      );
    });
    assert.equal(error?.code, status.DEADLINE_EXCEEDED);
    await cancelled;
  });

  it('produces no more than a client reads', async () => {
    const session = http2.connect('http://localhost', { createConnection: () => netConnect(socket) });
    const stream = session.request({
      ':method': 'POST',
      ':path': `${CONTAINERS}/ListStream`,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    stream.on('error', () => undefined);
    stream.end(Buffer.from([0, 0, 0, 0, 0]));
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(produced < 200, `${produced} pages of 64 KiB were made for a client that reads none`);
    session.destroy();
  });

  it('is reached by clients that send "localhost" as authority', async () => {
    assert.equal(await authority(socket, 'localhost'), 200);
  });

  it('is reached by clients that send the socket path, percent-encoded, as authority', async () => {
    assert.equal(await authority(socket, '%2Frun%2Fdavit.sock'), 200);
  });
});

function serializer(name: string): (message: object) => Buffer {
  const method = methodsOf(ImagesName).find((candidate) => candidate.name === name);
  assert.ok(method);
  return method.request.encode;
}

/** HTTP status of a call with the given :authority, 0 when the stream is reset. */
function authority(socket: string, name: string): Promise<number> {
  const session = http2.connect('http://localhost', { createConnection: () => netConnect(socket) });
  return new Promise<number>((resolve) => {
    const request = session.request({
      ':method': 'POST',
      ':path': `${IMAGES}/Get`,
      ':authority': name,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    request.on('response', (headers) => resolve(Number(headers[':status'])));
    request.on('error', () => resolve(0));
    request.end(Buffer.from([0, 0, 0, 0, 0]));
  }).finally(() => session.close());
}
