import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { SPEC_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import type { Container } from '../../proto/gen/containerd.services.containers.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { json, RUNTIME, uniqueId } from '../harness/container.ts';
import { collect, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';

const SPEC = json(SPEC_URL, { ociVersion: '1.0.2' });

function create(client: Client, container: Input<Container>): Promise<Container> {
  return client.containers
    .Create({ container: { runtime: { name: RUNTIME }, spec: SPEC, ...container } })
    .then((response) => present(response.container));
}

describe('containers', () => {
  const t = useDaemon();

  it('creates and gives back what was said, with times', async () => {
    const id = uniqueId();
    const made = await create(t.client, {
      id,
      image: 'example.com/app:1',
      labels: { color: 'red', __proto__: 'kept' },
      snapshotter: 'overlayfs',
      snapshot_key: 'some-key',
      extensions: { 'my.extension': { type_url: 'some.type', value: Buffer.from([1, 2, 3]) } },
    });
    const got = present((await t.client.containers.Get({ id })).container);
    assert.deepEqual(got, made);
    assert.equal(got.image, 'example.com/app:1');
    assert.equal(got.snapshot_key, 'some-key');
    assert.equal(got.runtime?.name, RUNTIME);
    assert.deepEqual(JSON.parse(present(got.spec).value.toString()), { ociVersion: '1.0.2' });
    assert.deepEqual(got.extensions['my.extension']?.value, Buffer.from([1, 2, 3]));
    assert.ok(Math.abs(Number(present(got.created_at).seconds) - Date.now() / 1000) < 60);
    assert.deepEqual(got.created_at, got.updated_at);
  });

  it('keeps a spec byte for byte', async () => {
    const id = uniqueId();
    const text = '{"big": 9223372036854771712, "twice": 1, "twice": 2, "space" : [ ] }';
    await create(t.client, { id, spec: { type_url: SPEC_URL, value: Buffer.from(text) } });
    const got = present((await t.client.containers.Get({ id })).container);
    assert.equal(present(got.spec).value.toString(), text);
  });

  it('refuses duplicates, and what is incomplete', async () => {
    const id = uniqueId();
    await create(t.client, { id });
    await fails(create(t.client, { id }), 'already exists', new RegExp(`container "${id}".*already exists$`));
    await fails(create(t.client, { id: '' }), 'invalid argument');
    await fails(create(t.client, { id: 'bad id' }), 'invalid argument');
    await fails(create(t.client, { id: uniqueId(), runtime: { name: '' } }), 'invalid argument');
    await fails(create(t.client, { id: uniqueId(), spec: null }), 'invalid argument');
    await fails(create(t.client, { id: uniqueId(), snapshot_key: 'key' }), 'invalid argument');
    await fails(
      create(t.client, { id: uniqueId(), labels: { ['k'.repeat(2000)]: 'v'.repeat(2097) } }),
      'invalid argument',
    );
    await create(t.client, { id: uniqueId(), labels: { ['k'.repeat(2000)]: 'v'.repeat(2096) } });
  });

  it('is told apart by namespace', async () => {
    const other = t.inNewNamespace();
    const id = uniqueId();
    await create(t.client, { id, image: 'one' });
    await fails(other.containers.Get({ id }), 'not found');
    await create(other, { id, image: 'two' });
    assert.equal((await t.client.containers.Get({ id })).container?.image, 'one');
    await other.containers.Delete({ id });
    await t.client.containers.Get({ id });
  });

  it('lists, all or filtered', async () => {
    const client = t.inNewNamespace();
    for (const color of ['red', 'green'])
      await create(client, { id: `c-${color}`, labels: { 'my.org/color': color }, image: `image-${color}` });
    const list = async (...filters: string[]): Promise<string[]> =>
      (await client.containers.List({ filters })).containers.map(({ id }) => id).sort();
    assert.deepEqual(await list(), ['c-green', 'c-red']);
    assert.deepEqual(await list('id==c-red'), ['c-red']);
    assert.deepEqual(await list('labels."my.org/color"==green'), ['c-green']);
    assert.deepEqual(await list('labels."my.org/color"'), ['c-green', 'c-red']);
    assert.deepEqual(await list('id==c-red', 'id==c-green'), ['c-green', 'c-red']);
    assert.deepEqual(await list('id==c-red,image==image-green'), []);
    assert.deepEqual(await list('image~=image-.*d$'), ['c-red']);
    assert.deepEqual(await list('id!=c-red'), ['c-green']);
    assert.deepEqual(await list(`runtime.name==${RUNTIME}`), ['c-green', 'c-red']);
    await fails(client.containers.List({ filters: ['id=='] }), 'invalid argument');
  });

  it('streams the list, one container per message', async function () {
    davitOnly(this, t.target, 'ListStream is not in 1.6');
    const client = t.inNewNamespace();
    for (const id of ['a', 'b', 'c']) await create(client, { id });
    const messages = await collect(client.containers.ListStream({}));
    assert.deepEqual(messages.map(({ container }) => present(container).id).sort(), ['a', 'b', 'c']);
  });

  it('updates what the mask names and nothing else', async () => {
    const id = uniqueId();
    await create(t.client, { id, labels: { a: '1', b: '2' }, image: 'first' });
    const update = (container: Input<Container>, ...paths: string[]) =>
      t.client.containers
        .Update({ container: { id, ...container }, update_mask: { paths } })
        .then((response) => present(response.container));
    assert.deepEqual((await update({ labels: { a: '3', b: '4' }, image: 'ignored' }, 'labels.a')).labels, {
      a: '3',
      b: '2',
    });
    const one = await update({ labels: { 'x.y': 'dotted' } }, 'labels.x.y');
    assert.deepEqual(one.labels, { a: '3', b: '2', 'x.y': 'dotted' });
    assert.equal(one.image, 'first');
    assert.deepEqual((await update({ labels: { only: 'this' } }, 'labels')).labels, { only: 'this' });
    assert.equal((await update({ image: 'second' }, 'image')).image, 'second');
    const moved = await update({ snapshotter: 'overlayfs', snapshot_key: 'key' }, 'snapshotkey').catch(String);
    assert.ok(typeof moved === 'string' || moved.snapshot_key === 'key');
    await fails(update({}, 'nothing'), 'invalid argument');
    await fails(update({}, 'created_at'), 'invalid argument');
    await fails(
      t.client.containers.Update({ container: { id: 'nothing' }, update_mask: { paths: ['labels'] } }),
      'not found',
    );
  });

  it('an update without a mask replaces the mutable fields and refuses others', async () => {
    const id = uniqueId();
    const made = await create(t.client, {
      id,
      labels: { a: '1' },
      image: 'first',
      snapshotter: 'overlayfs',
      snapshot_key: 'k',
    });
    const replaced = present(
      (await t.client.containers.Update({ container: { ...made, labels: { b: '2' }, image: 'second' } })).container,
    );
    assert.deepEqual(replaced.labels, { b: '2' });
    assert.equal(replaced.image, 'second');
    assert.deepEqual(replaced.created_at, made.created_at);
    assert.notDeepEqual(replaced.updated_at, made.updated_at);
    await fails(t.client.containers.Update({ container: { ...made, snapshotter: 'native' } }), 'invalid argument');
    await fails(t.client.containers.Update({ container: { ...made, runtime: { name: 'other' } } }), 'invalid argument');
  });

  it('deletes', async () => {
    const id = uniqueId();
    await create(t.client, { id });
    await t.client.containers.Delete({ id });
    await fails(t.client.containers.Get({ id }), 'not found', new RegExp(`container "${id}".*not found$`));
    await fails(t.client.containers.Delete({ id }), 'not found');
  });
});
