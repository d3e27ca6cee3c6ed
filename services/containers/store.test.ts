import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { fails } from '../lib/testing/failures.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSlices, type Slices } from '../metadata/testing/slices.ts';
import type { ContainerSpec } from './convert.ts';

const SPEC = {
  type_url: 'types.containerd.io/opencontainers/runtime-spec/1/Spec',
  value: Buffer.from('{"memory":9223372036854771712}'),
};
const any = (text: string) => ({ type_url: 'u', value: Buffer.from(text) });

function spec(changes: Partial<ContainerSpec> = {}): ContainerSpec {
  return {
    id: 'c1',
    labels: new Map([['a', '1']]),
    image: 'busybox',
    runtime: { name: 'io.containerd.runc.v2', options: any('options') },
    spec: SPEC,
    snapshotter: 'overlayfs',
    snapshotKey: 'c1',
    extensions: new Map([['__proto__', any('one')]]),
    sandbox: '',
    ...changes,
  };
}

describe('containers', () => {
  const test = (name: string, work: (slices: Slices, folder: string) => Promise<void>): void => {
    it(name, async () => {
      await using folder = await temporaryFolder();
      await using slices = await openSlices(folder.path);
      await work(slices, folder.path);
    });
  };

  it('are read back after a restart, the spec byte for byte', async () => {
    await using folder = await temporaryFolder();
    {
      await using slices = await openSlices(folder.path);
      await slices.containers.create('n', spec());
    }
    await using slices = await openSlices(folder.path);
    const { created, updated, ...container } = slices.containers.get('n', 'c1');
    assert.deepEqual(container, spec());
    assert.deepEqual(created, updated);
    assert.deepEqual(slices.namespaces.list(), ['n']);
  });

  test('creates once, and tells', async ({ containers, published }) => {
    await containers.create('n', spec());
    await fails(() => containers.create('n', spec()), 'already exists', 'container "c1": already exists');
    await fails(() => containers.get('m', 'c1'), 'not found', 'container "c1" in namespace "m": not found');
    await containers.delete('n', 'c1');
    await fails(() => containers.delete('n', 'c1'), 'not found', 'container "c1": not found');
    assert.deepEqual(published, ['n /containers/create c1', 'n /containers/delete c1']);
  });

  test('refuses what cannot be a container', async ({ containers }) => {
    const refused = (changes: Partial<ContainerSpec>, message: string | RegExp) =>
      fails(() => containers.create('n', spec(changes)), 'invalid argument', message);
    const context = 'create container failed validation';
    await refused({ id: 'a/b' }, /^create container failed validation: container.ID: identifier "a\/b" must match/);
    await refused({ id: '' }, `${context}: container.ID: identifier must not be empty: invalid argument`);
    await refused({ spec: undefined }, `${context}: container.Spec must be set: invalid argument`);
    await refused(
      { runtime: { name: '', options: undefined } },
      `${context}: container.Runtime.Name must be set: invalid argument`,
    );
    await refused(
      { snapshotter: '' },
      `${context}: container.Snapshotter must be set if container.SnapshotKey is set: invalid argument`,
    );
    await refused(
      { extensions: new Map([['', any('')]]) },
      `${context}: container.Extension keys must not be zero-length: invalid argument`,
    );
    await refused(
      { labels: new Map([['k', 'x'.repeat(4096)]]) },
      /^create container failed validation: containers.Labels: label key/,
    );
  });

  test('updates what the mask says, and nothing that is immutable', async ({ containers }) => {
    await containers.create('n', spec());
    const update = (changes: Partial<ContainerSpec>, ...mask: string[]) => containers.update('n', spec(changes), mask);
    assert.deepEqual(
      [...(await update({ labels: new Map([['m.n', '2']]) }, 'labels.m.n')).labels],
      [
        ['a', '1'],
        ['m.n', '2'],
      ],
    );
    assert.deepEqual(
      [...(await update({ extensions: new Map([['e.2', any('two')]]) }, 'extensions.e.2')).extensions.keys()],
      ['__proto__', 'e.2'],
    );
    assert.equal((await update({ image: 'alpine' }, 'image')).image, 'alpine');
    assert.equal((await update({ snapshotKey: 'k' }, 'snapshotkey')).snapshotKey, 'k');
    const replaced = await update({ labels: new Map(), image: 'x' });
    assert.deepEqual([replaced.labels.size, replaced.image, replaced.extensions.size], [0, 'x', 1]);
    await fails(
      () => update({}, 'runtime'),
      'invalid argument',
      'cannot update "runtime" field on "c1": invalid argument',
    );
    await fails(
      () => update({ snapshotter: 'native' }),
      'invalid argument',
      'container.Snapshotter field is immutable: invalid argument',
    );
    await fails(
      () => update({ runtime: { name: 'x', options: undefined } }),
      'invalid argument',
      'container.Runtime.Name field is immutable: invalid argument',
    );
    await fails(
      () => update({ spec: undefined }, 'spec'),
      'invalid argument',
      'update failed validation: container.Spec must be set: invalid argument',
    );
    await fails(() => update({ id: 'none' }), 'not found', 'container "none": not found');
    assert.equal(containers.get('n', 'c1').image, 'x');
  });

  test('filters', async ({ containers }) => {
    await containers.create('n', spec());
    await containers.create('n', spec({ id: 'c2', image: '' }));
    const ids = (...filters: string[]) => containers.list('n', filters).map(({ id }) => id);
    assert.deepEqual(ids('id==c1'), ['c1']);
    assert.deepEqual(ids('runtime.name==io.containerd.runc.v2', 'id==none'), ['c1', 'c2']);
    assert.deepEqual(ids('image'), ['c1']);
    assert.deepEqual(ids('runtime'), []);
    await fails(() => ids('image='), 'invalid argument');
  });
});
