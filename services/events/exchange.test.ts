import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { codec } from '../../proto/messages.ts';
import { kindOf } from '../lib/errors.ts';
import { now } from '../lib/time.ts';
import type { Envelope } from './api.ts';
import { createEvents } from './exchange.ts';
import { createMissed } from './missed.ts';

const EXIT = 'containerd.events.TaskExit';

function envelope(more: Partial<Envelope> = {}): Envelope {
  const value = codec(EXIT).encode({ container_id: 'c1', id: 'x', exit_status: 3 });
  return {
    timestamp: { seconds: 1, nanos: 0 },
    namespace: 'ns',
    topic: '/tasks/exit',
    event: { type_url: EXIT, value },
    ...more,
  };
}

/** The next `count` envelopes. */
async function take(from: AsyncIterable<Envelope>, count: number): Promise<Envelope[]> {
  const taken: Envelope[] = [];
  const iterator = from[Symbol.asyncIterator]();
  while (taken.length < count) {
    const { done, value } = await iterator.next();
    if (done) break;
    taken.push(value);
  }
  return taken;
}

describe('events', () => {
  it('reach every subscriber, in order, from the subscription on', async () => {
    const events = createEvents();
    const { signal } = new AbortController();
    events.opened();
    events.forward(envelope({ topic: '/too/early', timestamp: now() }));
    const subscribers = [events.subscribe([], signal), events.subscribe([], signal)];
    events.forward(envelope({ topic: '/a' }));
    events.publish('other', '/b', 'containerd.events.TaskPaused', { container_id: 'c2' });
    for (const subscriber of subscribers) {
      assert.deepEqual(
        (await take(subscriber, 2)).map(({ namespace, topic }) => [namespace, topic]),
        [
          ['ns', '/a'],
          ['other', '/b'],
        ],
      );
    }
  });

  it('of the time when nobody could subscribe reach who subscribes soon after', async () => {
    const events = createEvents(createMissed(20));
    const { signal } = new AbortController();
    events.forward(envelope({ topic: '/down' }));
    events.publish('ns', '/recovered', 'containerd.events.TaskPaused', { container_id: 'c2' });
    events.opened();
    events.forward(envelope({ topic: '/live', timestamp: now() }));
    events.forward(envelope({ topic: '/late' }));
    const early = events.subscribe(['topic!="/recovered"'], signal);
    events.forward(envelope({ topic: '/last' }));
    const topics = (await take(early, 3)).map(({ topic }) => topic);
    assert.deepEqual(topics, ['/down', '/late', '/last']);
    await sleep(50);
    const late = events.subscribe([], signal);
    events.forward(envelope({ topic: '/next' }));
    assert.equal((await take(late, 1))[0]?.topic, '/next');
  });

  const filtered: [filter: string, passes: boolean][] = [
    ['namespace==ns', true],
    ['namespace==other', false],
    ['namespace==ns,topic~=|^/tasks/|', true],
    ['topic~="^/images/"', false],
    ['event.container_id==c1', true],
    ['event.container_id==c2', false],
    ['event.exit_status==3', true],
    ['event.absent', false],
    ['event', false],
    ['timestamp', false],
  ];
  for (const [filter, passes] of filtered) {
    it(`${passes ? 'pass' : 'do not pass'} ${filter}`, async () => {
      const events = createEvents();
      const subscriber = events.subscribe([filter, 'topic=="/end"'], new AbortController().signal);
      events.forward(envelope());
      events.forward(envelope({ topic: '/end' }));
      const [first] = await take(subscriber, 1);
      assert.equal(first?.topic === '/tasks/exit', passes);
    });
  }

  it('look into the keys of maps', async () => {
    const events = createEvents();
    const value = codec('containerd.services.images.v1.ImageCreate').encode({ name: 'i', labels: { 'a.b/c': 'yes' } });
    const subscriber = events.subscribe(['event.labels."a.b/c"==yes'], new AbortController().signal);
    events.forward(
      envelope({ topic: '/images/create', event: { type_url: 'containerd.services.images.v1.ImageCreate', value } }),
    );
    assert.equal((await take(subscriber, 1)).length, 1);
  });

  it('with rubbish as payload have no fields', async () => {
    const events = createEvents();
    const { signal } = new AbortController();
    const subscriber = events.subscribe(['event.container_id==c1', 'topic=="/end"'], signal);
    events.forward(envelope({ event: { type_url: EXIT, value: Buffer.from([0xff]) } }));
    events.forward(envelope({ event: { type_url: 'no.such.Type', value: Buffer.alloc(0) } }));
    events.forward(envelope({ topic: '/end' }));
    assert.equal((await take(subscriber, 1))[0]?.topic, '/end');
  });

  it('are refused when ill-formed', () => {
    const events = createEvents();
    for (const topic of ['', 'tasks', '/', '/a//b', '/a/', '/a b', `/${'x'.repeat(77)}`]) {
      assert.throws(
        () => events.forward(envelope({ topic })),
        (error) => kindOf(error) === 'invalid argument',
        topic,
      );
    }
    assert.throws(() => events.forward(envelope({ namespace: '../x' })), /event envelope has invalid namespace/);
    assert.throws(
      () => events.subscribe(['=='], new AbortController().signal),
      (error) => kindOf(error) === 'invalid argument',
    );
  });

  it('wait for nobody: who does not read is ended, others go on', async () => {
    const events = createEvents();
    const { signal } = new AbortController();
    const idle = events.subscribe([], signal);
    const reader = events.subscribe([], signal)[Symbol.asyncIterator]();
    for (let sent = 0; sent < 20_000; sent++) {
      events.forward(envelope());
      await reader.next();
    }
    await assert.rejects(take(idle, 1), (error) => kindOf(error) === 'resource exhausted');
  });

  it('are bounded in bytes too', async () => {
    const events = createEvents();
    const idle = events.subscribe([], new AbortController().signal);
    const value = Buffer.alloc(1 << 20);
    for (let sent = 0; sent < 20; sent++) events.forward(envelope({ event: { type_url: 'x', value } }));
    await assert.rejects(take(idle, 1), (error) => kindOf(error) === 'resource exhausted');
  });

  it('wake a subscriber that waits, and its signal ends it', async () => {
    const events = createEvents();
    const controller = new AbortController();
    const iterator = events.subscribe([], controller.signal)[Symbol.asyncIterator]();
    const first = iterator.next();
    events.forward(envelope());
    assert.equal((await first).value?.topic, '/tasks/exit');
    const second = iterator.next();
    controller.abort();
    assert.equal((await second).done, true);
  });
});
