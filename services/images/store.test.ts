import assert from 'node:assert/strict';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { fails } from '../lib/testing/failures.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSlices, scope, type Slices } from '../metadata/testing/slices.ts';
import type { Image, ImageSpec } from './api.ts';
import { imageCodec } from './convert.ts';

const DIGEST = digestOf('manifest');
const OPTIONS = { sync: false, signal: new AbortController().signal };

function spec(changes: Partial<ImageSpec> = {}): ImageSpec {
  return {
    name: 'docker.io/library/busybox:1',
    labels: new Map([['a', '1']]),
    target: { mediaType: 'application/x', digest: DIGEST, size: 9007199254740993n, annotations: new Map([['k', 'v']]) },
    ...changes,
  };
}

describe('images', () => {
  const test = (name: string, work: (slices: Slices, folder: string) => Promise<void>): void => {
    it(name, async () => {
      await using folder = await temporaryFolder();
      await using slices = await openSlices(folder.path);
      await work(slices, folder.path);
    });
  };

  test('creates once, tells, and lists in order', async ({ images, published, namespaces }) => {
    const image = await images.create(scope('a'), spec(), undefined);
    assert.deepEqual(image.created, image.updated);
    assert.equal(images.get('a', image.name).target.size, 9007199254740993n);
    await fails(
      () => images.create(scope('a'), spec(), undefined),
      'already exists',
      `image "${image.name}": already exists`,
    );
    await images.create(scope('b'), spec(), undefined);
    await images.create(scope('a'), spec({ name: 'a' }), { seconds: 100, nanos: 0 });
    assert.deepEqual(
      images.list('a', []).map(({ name }) => name),
      ['a', image.name],
    );
    assert.equal(images.get('a', 'a').created.seconds, 100);
    assert.deepEqual(published, [
      `a /images/create ${image.name}`,
      `b /images/create ${image.name}`,
      'a /images/create a',
    ]);
    assert.deepEqual(namespaces.list(), ['a', 'b']);
  });

  test('refuses what cannot be an image', async ({ images }) => {
    const target = spec().target;
    const create = (changes: Partial<ImageSpec>) => () => images.create(scope('a'), spec(changes), undefined);
    await fails(create({ name: '' }), 'invalid argument', 'Image.Name required');
    await fails(
      create({ target: { ...target, digest: 'sha256:zz' } }),
      'invalid argument',
      'target.Digest "sha256:zz" invalid: invalid checksum digest length: invalid argument',
    );
    await fails(
      create({ target: { ...target, size: 0n } }),
      'invalid argument',
      'target.Size must be greater than zero: invalid argument',
    );
    await fails(
      create({ target: { ...target, mediaType: '' } }),
      'invalid argument',
      'target.MediaType must be set: invalid argument',
    );
    await fails(
      create({ labels: new Map([['k', 'v'.repeat(4096)]]) }),
      'invalid argument',
      /^image.Labels: label key and value length \(4097 bytes\)/,
    );
    await fails(create({ name: 'a\0b' }), 'invalid argument', /NUL/);
    assert.deepEqual(images.list('a', []), []);
  });

  test('updates what the mask says', async ({ images }) => {
    const { created } = await images.create(scope('a'), spec(), undefined);
    const other = { mediaType: 'y', digest: digestOf('other'), size: 5n, annotations: new Map([['z', '9']]) };
    const update = (changes: Partial<ImageSpec>, ...mask: string[]) =>
      images.update(scope('a'), spec(changes), mask, undefined);
    assert.deepEqual(
      [...(await update({ labels: new Map([['b.c', '2']]) }, 'labels.b.c')).labels],
      [
        ['a', '1'],
        ['b.c', '2'],
      ],
    );
    assert.deepEqual(
      [...(await update({ target: other }, 'annotations.z')).target.annotations],
      [
        ['k', 'v'],
        ['z', '9'],
      ],
    );
    assert.equal((await update({ target: other }, 'target')).target.digest, other.digest);
    assert.deepEqual([...(await update({}, 'annotations', 'labels.a')).target.annotations], [['k', 'v']]);
    const replaced = await update({ labels: new Map() });
    assert.deepEqual([replaced.labels.size, replaced.target.digest, replaced.created], [0, DIGEST, created]);
    await fails(
      () => update({}, 'name'),
      'invalid argument',
      'cannot update "name" field on image "docker.io/library/busybox:1": invalid argument',
    );
    await fails(() => update({ name: 'none' }), 'not found', 'image "none": not found');
    await fails(() => update({ name: '' }), 'invalid argument');
  });

  test('deletes, when asked only with the right target', async ({ images, published }) => {
    await images.create(scope('a'), spec({ name: 'x' }), undefined);
    const other = digestOf('other');
    await fails(
      () => images.delete(scope('a'), 'x', { ...OPTIONS, target: other }),
      'not found',
      `image "x" has target ${DIGEST}, not ${other}: not found`,
    );
    await images.delete(scope('a'), 'x', { ...OPTIONS, target: DIGEST });
    await fails(() => images.delete(scope('a'), 'x', OPTIONS), 'not found', 'image "x": not found');
    assert.equal(published.at(-1), 'a /images/delete x');
  });

  test('is held by a lease only when it expires', async ({ images, leases }) => {
    await leases.create('a', 'l', new Map());
    await images.create(scope('a', 'l'), spec(), undefined);
    const expiring = new Map([['containerd.io/gc.expire', '2035-01-01T00:00:00Z']]);
    await images.create(scope('a', 'l'), spec({ name: 'e', labels: expiring }), undefined);
    assert.deepEqual(leases.resources('a', 'l'), [{ type: 'images', id: 'e' }]);
    await fails(() => images.create(scope('a', 'no'), spec({ name: 'f', labels: expiring }), undefined), 'not found');
    assert.equal(images.list('a', ['name==f']).length, 0);
    await images.delete(scope('a', 'l'), 'e', OPTIONS);
    assert.deepEqual(leases.resources('a', 'l'), []);
  });

  test('filters', async ({ images }) => {
    await images.create(scope('a'), spec(), undefined);
    const found = (filter: string): number => images.list('a', [filter]).length;
    for (const filter of [
      'name~=busybox',
      `target.digest==${DIGEST}`,
      'target.mediatype==application/x',
      'labels.a==1',
      'annotations.k==v',
    ]) {
      assert.equal(found(filter), 1, filter);
    }
    for (const filter of ['labels.none', 'bogus', 'target', 'name==x']) assert.equal(found(filter), 0, filter);
  });

  it('are read back from the disk as they were', () => {
    const text = fc.string({ unit: 'binary' });
    const map = fc
      .array(
        fc.tuple(
          text,
          text.filter((value) => value !== ''),
        ),
      )
      .map((entries) => new Map([['__proto__', 'p'], ...entries]));
    const instant = fc.record({ seconds: fc.maxSafeInteger(), nanos: fc.nat(999_999_999) }, { noNullPrototype: true });
    const target = fc.record(
      {
        mediaType: text,
        digest: text,
        size: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
        annotations: map,
      },
      { noNullPrototype: true },
    );
    const codec = imageCodec();
    fc.assert(
      fc.property(
        fc.record({ name: text, labels: map, target, created: instant, updated: instant }, { noNullPrototype: true }),
        (image: Image) => {
          assert.deepEqual(codec.decode(codec.encode(image)), image);
        },
      ),
    );
  });
});
