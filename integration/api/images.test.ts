import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import type { Image } from '../../proto/gen/containerd.services.images.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { davitOnly } from '../harness/only.ts';

const TARGET = {
  media_type: 'application/vnd.oci.image.manifest.v1+json',
  digest: sha256(Buffer.from('target')),
  size: '6',
};
const OTHER = { ...TARGET, digest: sha256(Buffer.from('other')), size: '5' };

const create = (client: Client, image: Input<Image>): Promise<Image> =>
  client.images.Create({ image: { target: TARGET, ...image } }).then((response) => present(response.image));

describe('images', () => {
  const t = useDaemon();

  it('creates and gives back what was said', async () => {
    const made = await create(t.client, {
      name: 'example.com/a:1',
      labels: { color: 'red' },
      created_at: { seconds: '1', nanos: 0 },
    });
    const got = present((await t.client.images.Get({ name: 'example.com/a:1' })).image);
    assert.deepEqual(got, made);
    assert.deepEqual(got.labels, { color: 'red' });
    assert.equal(got.target?.digest, TARGET.digest);
    assert.equal(got.target?.size, '6');
    assert.ok(Number(got.created_at?.seconds) > 1000, 'the client does not say when it was created');
  });

  it('refuses duplicates and what is incomplete', async () => {
    await create(t.client, { name: 'example.com/dup:1' });
    await fails(
      create(t.client, { name: 'example.com/dup:1' }),
      'already exists',
      /image "example\.com\/dup:1".*already exists$/,
    );
    await fails(create(t.client, { name: '' }), 'invalid argument');
    await fails(create(t.client, { name: 'x', target: { ...TARGET, digest: '' } }), 'invalid argument');
    await fails(create(t.client, { name: 'x', target: { ...TARGET, digest: 'sha256:zz' } }), 'invalid argument');
    await fails(create(t.client, { name: 'x', target: { ...TARGET, size: '0' } }), 'invalid argument');
    await fails(create(t.client, { name: 'x', target: { ...TARGET, size: '-1' } }), 'invalid argument');
    await fails(t.client.images.Get({ name: 'nothing' }), 'not found', /image "nothing": not found$/);
  });

  it('lists, all or filtered', async () => {
    const client = t.inNewNamespace();
    await create(client, { name: 'example.com/one:1', labels: { a: '1' } });
    await create(client, { name: 'example.com/two:1', target: OTHER });
    const list = async (...filters: string[]): Promise<string[]> =>
      (await client.images.List({ filters })).images.map(({ name }) => name.slice('example.com/'.length)).sort();
    assert.deepEqual(await list(), ['one:1', 'two:1']);
    assert.deepEqual(await list('name==example.com/one:1'), ['one:1']);
    assert.deepEqual(await list('name~="example.com/t.*"'), ['two:1']);
    assert.deepEqual(await list(`target.digest==${OTHER.digest}`), ['two:1']);
    assert.deepEqual(await list('labels.a==1'), ['one:1']);
    assert.deepEqual(await list(`target.mediatype=="${TARGET.media_type}"`), ['one:1', 'two:1']);
    await fails(client.images.List({ filters: ['name==='] }), 'invalid argument');
  });

  it('updates what the mask names', async () => {
    const name = 'example.com/update:1';
    await create(t.client, { name, labels: { a: '1', b: '2' } });
    const update = (image: Input<Image>, ...paths: string[]) =>
      t.client.images
        .Update({ image: { name, ...image }, update_mask: { paths } })
        .then((response) => present(response.image));
    assert.deepEqual((await update({ labels: { a: '3' }, target: TARGET }, 'labels.a')).labels, { a: '3', b: '2' });
    assert.deepEqual((await update({ labels: { c: '4' }, target: TARGET }, 'labels')).labels, { c: '4' });
    assert.equal((await update({ target: OTHER }, 'target')).target?.digest, OTHER.digest);
    await fails(update({ target: TARGET }, 'name'), 'invalid argument');
    await fails(t.client.images.Update({ image: { name: 'nothing', target: TARGET } }), 'not found');
  });

  it('an update without a mask replaces all', async () => {
    const name = 'example.com/whole:1';
    const made = await create(t.client, { name, labels: { a: '1' } });
    const replaced = present(
      (await t.client.images.Update({ image: { name, target: OTHER, labels: { b: '2' } } })).image,
    );
    assert.deepEqual(replaced.labels, { b: '2' });
    assert.equal(replaced.target?.digest, OTHER.digest);
    assert.deepEqual(replaced.created_at, made.created_at);
  });

  it('deletes', async () => {
    await create(t.client, { name: 'example.com/gone:1' });
    await t.client.images.Delete({ name: 'example.com/gone:1', sync: true });
    await fails(
      t.client.images.Delete({ name: 'example.com/gone:1' }),
      'not found',
      /image "example\.com\/gone:1".*not found$/,
    );
  });

  it('deletes only if the target is still the one named', async function () {
    davitOnly(this, t.target, 'Delete.target came with 2.0');
    await create(t.client, { name: 'example.com/guarded:1' });
    await fails(t.client.images.Delete({ name: 'example.com/guarded:1', target: OTHER }), 'not found');
    await t.client.images.Delete({ name: 'example.com/guarded:1', target: TARGET });
  });
});
