import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { fails } from '../lib/testing/failures.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSlices, type Slices } from '../metadata/testing/slices.ts';

const DIGEST = digestOf('x');
const never = new AbortController().signal;

describe('leases', () => {
  const test = (name: string, work: (slices: Slices) => Promise<void>): void => {
    it(name, async () => {
      await using folder = await temporaryFolder();
      await using slices = await openSlices(folder.path);
      await work(slices);
    });
  };

  test('creates with any id, or makes one up', async ({ leases }) => {
    await leases.create('n', 'a b/ü:"\n', new Map([['k', 'v']]));
    await fails(() => leases.create('n', 'a b/ü:"\n', new Map()), 'already exists');
    const { id } = await leases.create('n', undefined, new Map());
    assert.match(id, /^\d+-[\w-]{4}$/);
    assert.equal(leases.list('n', []).length, 2);
    assert.equal(leases.list('n', ['labels.k==v']).length, 1);
    assert.equal(leases.list('n', [`id==${id}`]).length, 1);
    assert.equal(leases.list('m', []).length, 0);
  });

  test('lists what it holds, by type and id', async ({ leases }) => {
    await leases.create('n', 'l', new Map());
    await leases.create('n', 'other', new Map());
    const all = [
      { type: 'content', id: DIGEST },
      { type: 'images', id: 'a' },
      { type: 'images', id: 'b' },
      { type: 'ingests', id: 'ref' },
      { type: 'snapshots/native', id: 'k' },
      { type: 'snapshots/overlayfs', id: 'k' },
    ];
    for (const resource of all.toReversed()) await leases.addResource('n', 'l', resource);
    await leases.addResource('n', 'l', { type: 'images', id: 'a' });
    assert.deepEqual(leases.resources('n', 'l'), all);
    assert.deepEqual(leases.resources('n', 'other'), []);
    await leases.deleteResource('n', 'l', { type: 'images', id: 'a' });
    await leases.deleteResource('n', 'l', { type: 'images', id: 'never held' });
    assert.equal(leases.resources('n', 'l').length, 5);
  });

  test('refuses what a lease cannot hold', async ({ leases }) => {
    await leases.create('n', 'l', new Map());
    const add = (type: string, id: string) => () => leases.addResource('n', 'l', { type, id });
    await fails(
      add('content', 'x'),
      'invalid argument',
      'invalid content resource id x: invalid checksum digest format: invalid argument',
    );
    await fails(add('content/x', DIGEST), 'invalid argument', 'invalid resource type content/x: invalid argument');
    await fails(
      add('snapshots', 'k'),
      'invalid argument',
      'invalid snapshot resource type snapshots: invalid argument',
    );
    await fails(add('snapshots/a/b', 'k'), 'invalid argument');
    await fails(add('bogus', 'k'), 'not implemented', 'resource type bogus not supported yet: not implemented');
    await fails(
      () => leases.addResource('n', 'none', { type: 'bogus', id: 'k' }),
      'not found',
      'lease "none": not found',
    );
    await fails(() => leases.resources('n', 'none'), 'not found');
    await fails(() => leases.delete('n', 'none', false, never), 'not found', 'lease "none": not found');
  });

  it('are read back after a restart with what they hold', async () => {
    await using folder = await temporaryFolder();
    {
      await using slices = await openSlices(folder.path);
      await slices.leases.create('n', 'l', new Map([['__proto__', 'v']]));
      await slices.leases.addResource('n', 'l', { type: 'images', id: 'i' });
      await slices.leases.create('n', 'gone', new Map());
      await slices.leases.addResource('n', 'gone', { type: 'images', id: 'i' });
      await slices.leases.delete('n', 'gone', false, never);
    }
    await using slices = await openSlices(folder.path);
    assert.deepEqual(
      slices.leases.list('n', []).map(({ id, labels }) => [id, [...labels]]),
      [['l', [['__proto__', 'v']]]],
    );
    assert.deepEqual(slices.leases.resources('n', 'l'), [{ type: 'images', id: 'i' }]);
    await slices.leases.create('n', 'gone', new Map());
    assert.deepEqual(slices.leases.resources('n', 'gone'), []);
  });
});
