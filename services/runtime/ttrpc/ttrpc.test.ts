import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, connect, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { Failure, kindOf } from '../../lib/errors.ts';
import type { TtrpcMethod } from '../api.ts';
import { connectTtrpc, ConnectionClosed, TtrpcStatus, type TtrpcClient } from './client.ts';
import { encodeFrame, FrameType } from './frame.ts';
import { requests } from './messages.ts';
import { createTtrpcServer, type TtrpcServer } from './server.ts';

const SERVICE = 'test.v1.Test';

describe('ttrpc client and server', () => {
  let folder: string;
  let address: string;
  let server: TtrpcServer | undefined;
  let bare: Server | undefined;
  let client: TtrpcClient | undefined;
  let unexpected: unknown[];

  beforeEach(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'ttrpc-'));
    address = path.join(folder, 's');
    unexpected = [];
  });

  afterEach(async () => {
    client?.close();
    await server?.close();
    bare?.close();
    server = bare = client = undefined;
    await rm(folder, { recursive: true });
  });

  async function start(methods: Record<string, TtrpcMethod>): Promise<TtrpcClient> {
    const byName = new Map(Object.entries(methods).map(([name, method]) => [`${SERVICE}/${name}`, method]));
    const made = createTtrpcServer({ methods: byName, onUnexpected: (_, error) => void unexpected.push(error) });
    server = made;
    await new Promise<void>((resolve) => made.server.listen(address, resolve));
    return (client = await connectTtrpc(address, 1000));
  }

  /** A server that is no ttrpc server: `handle` gets the raw connection. */
  async function startBare(handle: (socket: Socket) => void): Promise<TtrpcClient> {
    const made = createServer(handle);
    bare = made;
    await new Promise<void>((resolve) => made.listen(address, resolve));
    return (client = await connectTtrpc(address, 1000));
  }

  const call = (
    made: TtrpcClient,
    method: string,
    payload = '',
    more: { timeoutMs?: number; signal?: AbortSignal } = {},
  ) => made.call({ service: SERVICE, method, payload: Buffer.from(payload), metadata: [], ...more });

  it('answers concurrent calls out of order', async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const made = await start({
      Slow: async (payload) => (await held, Buffer.concat([Buffer.from('slow '), payload])),
      Fast: (payload) => (release(), payload),
    });
    const done: string[] = [];
    const slow = call(made, 'Slow', 'a').then((answer) => void done.push(answer.toString()));
    const fast = call(made, 'Fast', 'b').then((answer) => void done.push(answer.toString()));
    await Promise.all([slow, fast]);
    assert.deepEqual(done.sort(), ['b', 'slow a']);
  });

  it('passes metadata', async () => {
    const made = await start({ Who: (_, metadata) => Buffer.from(metadata.get('who') ?? '') });
    const metadata = [{ key: 'Who', value: 'me' }];
    const answer = await made.call({ service: SERVICE, method: 'Who', payload: Buffer.alloc(0), metadata });
    assert.equal(answer.toString(), 'me');
  });

  it('passes the class of failures, and tells of those that nobody classified', async () => {
    const made = await start({
      Missing: () => {
        throw new Failure('not found', 'thing "x": not found');
      },
      Broken: () => Promise.reject(new TypeError('oops')),
    });
    await assert.rejects(
      call(made, 'Missing'),
      (error) => error instanceof TtrpcStatus && error.code === 5 && error.message === 'thing "x": not found',
    );
    await assert.rejects(
      call(made, 'Broken'),
      (error) => error instanceof TtrpcStatus && error.code === 2 && error.message === 'oops',
    );
    await assert.rejects(call(made, 'Absent'), (error) => error instanceof TtrpcStatus && error.code === 12);
    assert.equal(unexpected.length, 1);
  });

  it('rejects every pending call when the connection is lost', async () => {
    const made = await startBare((socket) => socket.once('data', () => socket.destroy()));
    let closes = 0;
    made.onClose(() => closes++);
    const calls = [call(made, 'A'), call(made, 'B'), call(made, 'C')];
    for (const pending of calls) await assert.rejects(pending, ConnectionClosed);
    await assert.rejects(call(made, 'D'), ConnectionClosed);
    assert.equal(closes, 1);
    assert.equal(made.closed, true);
  });

  it('bounds a call by its timeout, and drops the late answer', async () => {
    const held: (() => void)[] = [];
    const made = await start({
      Slow: () => new Promise((resolve) => held.push(() => resolve(Buffer.from('late')))),
      Echo: (payload) => payload,
    });
    await assert.rejects(call(made, 'Slow', '', { timeoutMs: 30 }), (error) => kindOf(error) === 'deadline exceeded');
    for (const release of held) release();
    assert.equal((await call(made, 'Echo', 'on')).toString(), 'on');
  });

  it('gives a call up when its signal aborts', async () => {
    const made = await startBare(() => undefined);
    const controller = new AbortController();
    const pending = call(made, 'A', '', { signal: controller.signal });
    controller.abort();
    await assert.rejects(pending, (error) => error instanceof Error && error.name === 'AbortError');
    await assert.rejects(call(made, 'A', '', { signal: controller.signal }), { name: 'AbortError' });
  });

  it('is unavailable where nobody listens', async () => {
    await assert.rejects(connectTtrpc(path.join(folder, 'nobody'), 1000), (error) => kindOf(error) === 'unavailable');
  });

  it('survives a server that writes rubbish', async () => {
    const made = await startBare((socket) =>
      socket.write(encodeFrame(1, FrameType.response, Buffer.from([0xff, 0xff]))),
    );
    await assert.rejects(call(made, 'A'), (error) => kindOf(error) === 'internal');
  });

  it('stops reading from a client that does not read', async () => {
    let answered = 0;
    const big = Buffer.alloc(256 << 10);
    await start({ Big: () => (answered++, big) });
    const socket = connect(address);
    socket.pause();
    const request = encodeFrame(1, FrameType.request, requests.encode({ service: SERVICE, method: 'Big' }));
    for (let sent = 0; sent < 2000; sent++) socket.write(request);
    await new Promise((resolve) => setTimeout(resolve, 200));
    const before = answered;
    assert.ok(before < 1000, `answered ${before} of 2000`);
    socket.destroy();
  });
});
