// Clients that do not read, do not stop, or vanish: others must not notice, and memory stays bounded.
import { strict as assert } from 'node:assert';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { connect as connectSocket } from 'node:net';
import { describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type Client } from '../../client/connect.ts';
import { eventually, fails } from '../harness/expect.ts';
import { createDaemon } from '../harness/daemon.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { ROOTED } from '../harness/load.ts';
import { davitOnly } from '../harness/only.ts';
import { memoryOf } from '../harness/procfs.ts';
import { createMuteReader, createResetter } from '../harness/mute-reader.ts';
import { getBlob, putBlob, WRITE } from '../harness/store.ts';

const CALLS = 200;
/** Noise on a machine that does other things: what is printed is what counts, this catches a stall. */
const RATIO = 15;
const MEMORY_MIB = 64;
/** A message of 1 MiB that is being sent, its frame, and the next one. */
const MIB_PER_READ = 4;

/** A ReadContentRequest: the digest is its first field. */
const readRequest = (digest: string): Buffer =>
  Buffer.concat([Buffer.from([0x0a, digest.length]), Buffer.from(digest)]);

describe('rude clients', () => {
  const t = useDaemon();

  /** Median milliseconds of a small call. */
  async function latency(client: Client): Promise<number> {
    const times: number[] = [];
    for (let index = 0; index < CALLS; index += 1) {
      const began = performance.now();
      await client.namespaces.List({});
      times.push(performance.now() - began);
    }
    return times.sort((a, b) => a - b)[CALLS / 2] ?? 0;
  }

  /** Others' latency and the daemon's memory while `rude` goes on, against before. */
  async function harmless(
    what: string,
    rude: () => Promise<() => Promise<void> | void>,
    mebibytes = MEMORY_MIB,
  ): Promise<void> {
    const client = t.newConnection();
    await latency(client);
    const quiet = await latency(client);
    const memory = (): number => (t.daemon.pid === undefined ? 0 : memoryOf(t.daemon.pid).resident);
    const before = memory();
    const stop = await rude();
    const rudely = await latency(client);
    const after = memory();
    await stop();
    const ratio = rudely / quiet;
    const grown = Math.round((after - before) / 1024);
    console.log(`      ${what}: latency ${ratio.toFixed(2)} of before (${quiet.toFixed(2)} ms), memory +${grown} MiB`);
    assert.ok(ratio < RATIO, `latency went from ${quiet} to ${rudely} ms`);
    assert.ok(grown < mebibytes, `memory grew by ${grown} MiB`);
  }

  it('some subscribe to events and never read', () =>
    harmless('unread events', async () => {
      const rude = createMuteReader(t.daemon.address, t.client.namespace);
      for (let index = 0; index < 5; index += 1) rude.ask('/containerd.services.events.v1.Events/Subscribe');
      await sleep(200);
      const event = { type_url: 'test', value: Buffer.alloc(16 * 1024) };
      for (let index = 0; index < 100; index += 1)
        await Promise.all(Array.from({ length: 20 }, () => t.client.events.Publish({ topic: '/test/flood', event })));
      return () => rude.end();
    }));

  it('one opens a thousand streams', () =>
    harmless('1,000 streams', async () => {
      const rude = createMuteReader(t.daemon.address, t.client.namespace);
      for (let index = 0; index < 1000; index += 1) rude.ask('/containerd.services.events.v1.Events/Subscribe');
      await sleep(500);
      return () => rude.end();
    }));

  it('one opens streams and resets them, as fast as it can', () =>
    harmless('20,000 streams that were reset', async () => {
      const rude = createResetter(t.daemon.address, t.client.namespace);
      const sent = await rude.reset('/containerd.services.events.v1.Events/Subscribe', 20_000);
      console.log(`      ${rude.ended ? `its connection was ended after ${sent} or fewer` : `all ${sent} were taken`}`);
      // nghttp2 allows a burst of a thousand.
      if (t.target === 'davit') assert.ok(rude.ended && sent < 10_000, `${sent} were taken`);
      return () => rude.end();
    }));

  it('fifty ask for a large blob and never read', () =>
    harmless(
      'unread content',
      async () => {
        const digest = await putBlob(t.client, randomBytes(12 * 1024 * 1024), ROOTED);
        const rude = createMuteReader(t.daemon.address, t.client.namespace);
        for (let index = 0; index < 50; index += 1)
          rude.ask('/containerd.services.content.v1.Content/Read', readRequest(digest));
        await sleep(1000);
        return async () => {
          rude.end();
          await t.client.content.Delete({ digest });
        };
      },
      50 * MIB_PER_READ,
    ));

  it('a hundred connect and say nothing', () =>
    harmless('100 mute connections', async () => {
      const sockets = Array.from({ length: 100 }, () => connectSocket(t.daemon.address));
      for (const socket of sockets) socket.on('error', () => undefined);
      await sleep(200);
      return () => {
        for (const socket of sockets) socket.destroy();
      };
    }));

  it('one vanishes in the middle of a content write: the next goes on where it was', async () => {
    const bytes = randomBytes(4 * 1024 * 1024);
    const half = bytes.length / 2;
    const [ref, digest] = ['vanished', sha256(bytes)];
    // A process of its own, ended without a word.
    const program = `
      import { connect } from ${JSON.stringify(new URL('../../client/connect.js', import.meta.url).href)};
      const [, address, namespace] = process.argv;
      const client = connect(address, { namespace });
      const chunks = []; for await (const chunk of process.stdin) chunks.push(chunk);
      const call = client.content.Write();
      await call.send({ action: 1, ref: ${JSON.stringify(ref)}, offset: '0', data: Buffer.concat(chunks) });
      await call.receive();
      process.stdout.write('written');
      setInterval(() => undefined, 1000);`;
    const args = ['--input-type=module', '-e', program, t.daemon.address, t.client.namespace];
    const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(bytes.subarray(0, half));
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const second = t.client.content.Write();
    await second.send({ action: WRITE.STAT, ref });
    await fails(second.receive(), 'unavailable', /ref vanished locked for/);
    child.kill('SIGKILL');
    let offset = 0;
    let call = t.client.content.Write();
    await eventually('the ref is free again', async () => {
      call = t.client.content.Write();
      await call.send({ action: WRITE.STAT, ref, total: String(bytes.length), expected: digest });
      try {
        offset = Number((await call.receive())?.offset);
        return true;
      } catch {
        return false;
      }
    });
    assert.equal(offset, half);
    await call.send({ action: WRITE.WRITE, ref, offset: String(offset), data: bytes.subarray(offset) });
    await call.receive();
    await call.send({ action: WRITE.COMMIT, ref, offset: String(bytes.length), expected: digest, labels: ROOTED });
    await call.receive();
    call.cancel();
    assert.ok(bytes.equals(await getBlob(t.client, digest)));
    await t.client.content.Delete({ digest });
  });

  it('twenty give up in the middle of content writes', () =>
    harmless('writers that give up', async () => {
      const bytes = randomBytes(1024 * 1024);
      for (let index = 0; index < 20; index += 1) {
        const call = t.newConnection().content.Write();
        await call.send({ action: WRITE.WRITE, ref: `vanishing-${index}`, offset: '0', data: bytes });
        await call.receive();
        void call.send({ action: WRITE.WRITE, ref: `vanishing-${index}`, offset: String(bytes.length), data: bytes });
        call.cancel();
      }
      return async () => {
        for (let index = 0; index < 20; index += 1)
          await eventually('it can be aborted', () =>
            t.client.content.Abort({ ref: `vanishing-${index}` }).then(
              () => true,
              () => false,
            ),
          );
      };
    }));

  it('those who connect and neither speak nor listen do not keep the daemon from stopping', async function () {
    davitOnly(this, t.target, 'how long containerd takes is its own affair');
    const daemon = createDaemon();
    await daemon.start();
    const mute = [daemon.address, `${daemon.address}.ttrpc`].map((address) => connectSocket(address));
    for (const socket of mute) socket.on('error', () => undefined);
    const client = connect(daemon.address);
    const events = client.events.Subscribe({})[Symbol.asyncIterator]();
    void events.next().catch(() => undefined);
    await sleep(200);
    const began = performance.now();
    await daemon.stop();
    const took = performance.now() - began;
    for (const socket of mute) socket.destroy();
    client.close();
    daemon.remove();
    assert.ok(took < 4000, `it took ${took} ms`);
  });
});
