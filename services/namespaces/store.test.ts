import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { fails } from '../lib/testing/failures.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSlices, scope, type Slices } from '../metadata/testing/slices.ts';

describe('namespaces', () => {
  const test = (name: string, work: (slices: Slices) => Promise<void>): void => {
    it(name, async () => {
      await using folder = await temporaryFolder();
      await using slices = await openSlices(folder.path);
      await work(slices);
    });
  };

  test('creates, updates and deletes', async ({ namespaces, published }) => {
    await namespaces.create('n', new Map([['a', '1']]));
    await fails(() => namespaces.create('n', new Map()), 'already exists', 'namespace "n": already exists');
    await fails(() => namespaces.create('a/b', new Map()), 'invalid argument', /^identifier "a\/b" must match/);
    await fails(
      () => namespaces.create('m', new Map([['k', 'x'.repeat(4096)]])),
      'invalid argument',
      /^namespace.Labels: label key/,
    );
    await namespaces.update('n', new Map([['b.c', '2']]), ['labels.b.c', 'labels.a']);
    assert.deepEqual([...namespaces.labels('n')], [['b.c', '2']]);
    for (const path of ['labels', 'name']) {
      await fails(
        () => namespaces.update('n', new Map(), [path]),
        'invalid argument',
        `cannot update "${path}" field: invalid argument`,
      );
    }
    await namespaces.update('new', new Map([['z', '1']]), []);
    assert.deepEqual(namespaces.list(), ['n', 'new']);
    assert.deepEqual([...namespaces.labels('nowhere')], []);
    await namespaces.delete('n');
    await fails(() => namespaces.delete('n'), 'not found', 'namespace "n": not found');
    assert.deepEqual(
      published.map((line) => line.split(' ')[1]),
      ['/namespaces/create', '/namespaces/update', '/namespaces/update', '/namespaces/delete'],
    );
  });

  test('begins with the first write and stays when it is empty', async ({ namespaces, leases }) => {
    await leases.create('n', 'l', new Map());
    assert.deepEqual(namespaces.list(), ['n']);
    await leases.delete('n', 'l', false, new AbortController().signal);
    assert.deepEqual(namespaces.list(), ['n']);
    await fails(
      () => leases.create('m', 'l', new Map()).then(() => leases.create('m', 'l', new Map())),
      'already exists',
    );
    assert.deepEqual(namespaces.list(), ['m', 'n']);
  });

  test('is deleted only when empty, with its leases and ingests', async ({ namespaces, content, images, leases }) => {
    const target = { mediaType: 'x', digest: digestOf('y'), size: 1n, annotations: new Map<string, string>() };
    await leases.create('n', 'l', new Map());
    await images.create(scope('n'), { name: 'i', labels: new Map(), target }, undefined);
    await using writer = await content.writer(scope('n', 'l'), { ref: 'r' });
    await (await content.writer(scope('n', 'l'), { ref: 'open' })).close();
    await writer.commit({});
    await fails(
      () => namespaces.delete('n'),
      'failed precondition',
      'namespace "n" must be empty, but it still has images, blobs: failed precondition',
    );
    await images.delete(scope('n'), 'i', { sync: false, signal: new AbortController().signal });
    await content.delete(scope('n', 'l'), digestOf(''));
    await namespaces.delete('n');
    assert.deepEqual([namespaces.list(), leases.list('n', []), await content.statuses('n', [])], [[], [], []]);
  });

  it('are read back after a restart', async () => {
    await using folder = await temporaryFolder();
    {
      await using slices = await openSlices(folder.path);
      await slices.namespaces.create('n', new Map([['__proto__', 'v']]));
    }
    await using slices = await openSlices(folder.path);
    assert.deepEqual(slices.namespaces.list(), ['n']);
    assert.deepEqual([...slices.namespaces.labels('n')], [['__proto__', 'v']]);
  });
});
