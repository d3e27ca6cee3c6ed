import { strict as assert } from 'node:assert';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { unpackMessage } from '../../client/any.ts';
import { ClientError } from '../../client/errors.ts';
import type { Client } from '../../client/connect.ts';
import type { Envelope } from '../../proto/gen/containerd.types.ts';
import { createContainer, createTask, exec, removeContainer } from '../harness/container.ts';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { descriptor, putImage } from '../harness/store.ts';

interface Watch {
  readonly events: Envelope[];
  /** Waits for an event of the topic. */
  wait(topic: string): Promise<Envelope>;
  stop(): void;
}

async function watch(client: Client, ...filters: string[]): Promise<Watch> {
  const events: Envelope[] = [];
  const control = new AbortController();
  const stream = client.events.Subscribe({ filters }, { signal: control.signal });
  void (async () => {
    try {
      for await (const event of stream) events.push(event);
    } catch (error) {
      if (!(error instanceof ClientError && error.kind === 'canceled')) throw error;
    }
  })();
  // Nothing tells when a subscription has begun.
  await sleep(300);
  return {
    events,
    async wait(topic) {
      await eventually(`event ${topic}`, () => events.some((event) => event.topic === topic));
      return present(events.find((event) => event.topic === topic));
    },
    stop: () => control.abort(),
  };
}

const decode = (event: Envelope): Record<string, unknown> =>
  present(unpackMessage(present(event.event))) as Record<string, unknown>;

describe('events', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  it('come in order, with what happened', async () => {
    const seen = await watch(t.client, `namespace==${t.client.namespace}`);
    const id = await createContainer(t.client, image, ['sleep', '1000']);
    await createTask(t.client, id);
    await t.client.tasks.Start({ container_id: id });
    await exec(t.client, id, ['sh', '-c', 'exit 3']);
    await t.client.tasks.Pause({ container_id: id });
    await t.client.tasks.Resume({ container_id: id });
    await t.client.tasks.Kill({ container_id: id, signal: 9 });
    await t.client.tasks.Wait({ container_id: id });
    await removeContainer(t.client, id);
    await seen.wait('/tasks/delete');
    await seen.wait('/snapshot/remove');
    seen.stop();
    const tasks = seen.events.filter(({ topic }) => topic.startsWith('/tasks/'));
    assert.deepEqual(
      tasks.map(({ topic }) => topic.slice('/tasks/'.length)).filter((name) => name !== 'paused' && name !== 'resumed'),
      ['create', 'start', 'exec-added', 'exec-started', 'exit', 'exit', 'delete'],
    );
    assert.ok(
      tasks.findIndex(({ topic }) => topic === '/tasks/paused') <
        tasks.findIndex(({ topic }) => topic === '/tasks/resumed'),
    );
    for (const event of tasks) {
      assert.equal(event.namespace, t.client.namespace);
      assert.equal(decode(event)['container_id'], id);
      assert.ok(Math.abs(Number(event.timestamp?.seconds) - Date.now() / 1000) < 60);
      assert.match(present(event.event).type_url, /^containerd\.events\.Task/);
    }
    const exits = tasks.filter(({ topic }) => topic === '/tasks/exit').map(decode);
    assert.equal(exits[0]?.['exit_status'], 3);
    assert.notEqual(exits[0]?.['id'], id);
    assert.deepEqual([exits[1]?.['exit_status'], exits[1]?.['id']], [137, id]);
    const created = decode(present(tasks[0]));
    assert.match(String(created['bundle']), new RegExp(`/${t.client.namespace}/${id}$`));
    assert.equal((created['rootfs'] as unknown[]).length, 1);
    const topics = seen.events.map(({ topic }) => topic);
    for (const topic of ['/snapshot/prepare', '/containers/create', '/containers/delete', '/snapshot/remove'])
      assert.ok(topics.includes(topic), topic);
  });

  it('tell of images, content, namespaces and leases', async () => {
    const seen = await watch(t.client);
    const client = t.inNewNamespace();
    await client.namespaces.Create({ namespace: { name: client.namespace, labels: { a: 'b' } } });
    await putImage(client, image);
    const { media_type, digest, size } = descriptor(image.manifest);
    await client.images.Update({
      image: { name: image.name, labels: { c: 'd' }, target: { media_type, digest, size } },
      update_mask: { paths: ['labels.c'] },
    });
    await client.images.Delete({ name: image.name, sync: true });
    await client.namespaces.Update({
      namespace: { name: client.namespace, labels: { a: 'e' } },
      update_mask: { paths: ['labels.a'] },
    });
    await seen.wait('/namespaces/update');
    await eventually('all came', () =>
      seen.events.some(({ topic, namespace }) => topic === '/images/delete' && namespace === client.namespace),
    );
    seen.stop();
    const mine = seen.events.filter(({ namespace }) => namespace === client.namespace);
    const types = new Map(mine.map((event) => [event.topic, present(event.event).type_url]));
    assert.equal(types.get('/images/create'), 'containerd.services.images.v1.ImageCreate');
    assert.equal(types.get('/images/update'), 'containerd.services.images.v1.ImageUpdate');
    assert.equal(types.get('/images/delete'), 'containerd.services.images.v1.ImageDelete');
    assert.equal(types.get('/namespaces/create'), 'containerd.events.NamespaceCreate');
    assert.equal(types.get('/snapshot/prepare'), 'containerd.events.SnapshotPrepare');
    assert.equal(types.get('/snapshot/commit'), 'containerd.events.SnapshotCommit');
    const created = decode(present(mine.find(({ topic }) => topic === '/images/create')));
    assert.equal(created['name'], image.name);
  });

  const publish = (client: Client, topic: string, id = 'x') =>
    client.events.Publish({
      topic,
      event: {
        type_url: 'containerd.events.ContainerCreate',
        value: Buffer.concat([Buffer.from([10, id.length]), Buffer.from(id)]),
      },
    });

  it('can be published and forwarded', async () => {
    const seen = await watch(t.client, 'topic~=^/mine/');
    await publish(t.client, '/mine/published');
    const published = await seen.wait('/mine/published');
    assert.equal(published.namespace, t.client.namespace);
    const envelope = {
      timestamp: { seconds: '1234', nanos: 5 },
      namespace: 'elsewhere',
      topic: '/mine/forwarded',
      event: { type_url: 'some.type', value: Buffer.from([1, 2]) },
    };
    await t.client.events.Forward({ envelope });
    const forwarded = await seen.wait('/mine/forwarded');
    assert.deepEqual(
      [forwarded.namespace, forwarded.timestamp?.seconds, forwarded.event?.value],
      ['elsewhere', '1234', Buffer.from([1, 2])],
    );
    seen.stop();
  });

  it('are filtered by namespace, topic and fields', async () => {
    const other = t.inNewNamespace();
    const watches = await Promise.all([
      watch(t.client, `namespace==${t.client.namespace},topic=="/filter/a"`),
      watch(t.client, `topic=="/filter/a",namespace==${other.namespace}`, 'topic=="/filter/b"'),
      watch(t.client, 'topic~=|^/filter/|,event.id==second'),
    ]);
    await publish(t.client, '/filter/a', 'first');
    await publish(other, '/filter/a', 'second');
    await publish(t.client, '/filter/b', 'second');
    await publish(t.client, '/filter/c', 'third');
    await sleep(300);
    const topics = watches.map(({ events }) =>
      events.map(({ namespace, topic }) => `${namespace === other.namespace ? 'other' : 'mine'}${topic}`),
    );
    assert.deepEqual(topics, [
      ['mine/filter/a'],
      ['other/filter/a', 'mine/filter/b'],
      ['other/filter/a', 'mine/filter/b'],
    ]);
    for (const watching of watches) watching.stop();
  });

  it('are refused with a bad topic or filter', async () => {
    for (const topic of ['', 'no-slash', '/', '/bad topic', '/a//b'])
      await fails(publish(t.client, topic), 'invalid argument');
    await fails(publish(t.client.with({ namespace: '' }), '/mine/x'), 'failed precondition', /namespace is required/);
    await assert.rejects(collect(t.client.events.Subscribe({ filters: ['topic=='] })), /filter.*invalid argument/);
  });

  it('of a subscriber that never reads hold up nobody', async () => {
    const lazy = t.newConnection();
    // Never iterated: the messages stay where they are.
    const control = new AbortController();
    const stream = lazy.events.Subscribe({}, { signal: control.signal });
    const reader = await watch(t.client, 'topic=="/flood/end"');
    const id = 'x'.repeat(70);
    const began = performance.now();
    for (let index = 0; index < 3000; index += 1) await publish(t.client, '/flood/event', id);
    await publish(t.client, '/flood/end', id);
    await reader.wait('/flood/end');
    assert.ok(performance.now() - began < 30_000);
    reader.stop();
    control.abort();
    assert.ok(stream);
  });

  it('reach every subscriber', async () => {
    const watches = await Promise.all(Array.from({ length: 20 }, () => watch(t.client, 'topic=="/many/x"')));
    for (let index = 0; index < 10; index += 1) await publish(t.client, '/many/x', `e${index}`);
    for (const { events } of watches) {
      await eventually('all came', () => events.length === 10);
      assert.deepEqual(
        events.map((event) => decode(event)['id']),
        Array.from({ length: 10 }, (_, index) => `e${index}`),
      );
    }
    for (const watching of watches) watching.stop();
  });
});
