import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { putBlob } from '../harness/store.ts';

describe('namespaces', () => {
  const t = useDaemon();

  it('creates, gets, lists and deletes', async () => {
    const { namespace } = t.inNewNamespace();
    await t.client.namespaces.Create({ namespace: { name: namespace, labels: { color: 'red' } } });
    const got = await t.client.namespaces.Get({ name: namespace });
    assert.deepEqual(got.namespace, { name: namespace, labels: { color: 'red' } });
    const { namespaces } = await t.client.namespaces.List({});
    assert.deepEqual(namespaces.find(({ name }) => name === namespace)?.labels, { color: 'red' });
    await t.client.namespaces.Delete({ name: namespace });
    await fails(t.client.namespaces.Delete({ name: namespace }), 'not found', /not found$/);
  });

  it('get answers for one that was never made', async () => {
    const { namespace } = await t.client.namespaces.Get({ name: 'never-made' });
    assert.deepEqual(namespace, { name: 'never-made', labels: {} });
  });

  it('refuses duplicates and bad names', async () => {
    const { namespace } = t.inNewNamespace();
    await t.client.namespaces.Create({ namespace: { name: namespace } });
    await fails(t.client.namespaces.Create({ namespace: { name: namespace } }), 'already exists', /already exists$/);
    for (const name of ['', 'a b', '-a', 'a-', 'a..b', 'a/b', 'ä', 'x'.repeat(77)]) {
      await fails(t.client.namespaces.Create({ namespace: { name } }), 'invalid argument');
    }
  });

  it('updates single labels, and all of them', async () => {
    const { namespace: name } = t.inNewNamespace();
    await t.client.namespaces.Create({ namespace: { name, labels: { a: '1', b: '2' } } });
    await t.client.namespaces.Update({
      namespace: { name, labels: { 'dotted.key/x': 'yes', b: 'ignored' } },
      update_mask: { paths: ['labels.dotted.key/x'] },
    });
    const one = await t.client.namespaces.Get({ name });
    assert.deepEqual(present(one.namespace).labels, { a: '1', b: '2', 'dotted.key/x': 'yes' });
    await t.client.namespaces.Update({ namespace: { name, labels: { a: '' } }, update_mask: { paths: ['labels.a'] } });
    const two = await t.client.namespaces.Get({ name });
    assert.deepEqual(present(two.namespace).labels, { b: '2', 'dotted.key/x': 'yes' });
    await fails(
      t.client.namespaces.Update({ namespace: { name }, update_mask: { paths: ['nothing'] } }),
      'invalid argument',
    );
  });

  it('refuses to delete one that holds something, and names what', async () => {
    const client = t.inNewNamespace();
    await putBlob(client, Buffer.from('held'), { 'containerd.io/gc.root': 'now' });
    await fails(
      client.namespaces.Delete({ name: client.namespace }),
      'failed precondition',
      /must be empty.*(content|blob)/,
    );
  });
});
