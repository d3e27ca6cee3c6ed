import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { kindOf } from '../lib/errors.ts';
import { MetadataStore } from '../metadata/store.ts';
import type { Sandboxes, SandboxSpec } from './api.ts';
import { createSandboxes } from './store.ts';

describe('sandboxes', () => {
  let folder: string;
  let metadata: MetadataStore;
  let sandboxes: Sandboxes;

  async function open(): Promise<void> {
    metadata = new MetadataStore(path.join(folder, 'db'));
    sandboxes = createSandboxes({ metadata, namespaces: { register: () => undefined } });
    await metadata.open();
  }
  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'sandbox-'));
    await open();
  });
  afterEach(async () => {
    await metadata.close();
    rmSync(folder, { recursive: true });
  });

  const spec = (more: Partial<SandboxSpec> = {}): SandboxSpec => ({
    id: 's',
    runtime: { name: 'r', options: { type_url: 't', value: Buffer.from('o') } },
    spec: { type_url: 't', value: Buffer.from('{"n":9223372036854775807}') },
    labels: new Map([['a.b/c', '1']]),
    extensions: new Map([['e', { type_url: 't', value: Buffer.from('x') }]]),
    sandboxer: 'shim',
    ...more,
  });

  it('are kept over a restart as they were given', async () => {
    const made = await sandboxes.create('ns', spec());
    await metadata.close();
    await open();
    assert.deepEqual(sandboxes.get('ns', 's'), made);
    assert.throws(
      () => sandboxes.get('other', 's'),
      (error) => kindOf(error) === 'not found',
    );
  });

  it('are made once, with an id', async () => {
    await sandboxes.create('ns', spec());
    await assert.rejects(sandboxes.create('ns', spec()), (error) => kindOf(error) === 'already exists');
    await assert.rejects(
      sandboxes.create('ns', spec({ id: '../x' })),
      /failed to validate sandbox: invalid sandbox ID: .*invalid argument$/,
    );
  });

  it('change what the mask says', async () => {
    await sandboxes.create('ns', spec());
    const given = spec({
      labels: new Map([
        ['a.b/c', '2'],
        ['d', '3'],
      ]),
      spec: undefined,
    });
    const one = await sandboxes.update('ns', given, ['labels.a.b/c']);
    assert.deepEqual([...one.labels], [['a.b/c', '2']]);
    assert.ok(one.spec);
    const all = await sandboxes.update('ns', given, []);
    assert.deepEqual([[...all.labels.keys()], all.spec], [['a.b/c', 'd'], undefined]);
    await assert.rejects(
      sandboxes.update('ns', spec({ runtime: { name: 'other', options: undefined } }), []),
      /immutable/,
    );
    await assert.rejects(
      sandboxes.update('ns', given, ['sandboxer']),
      /cannot update "sandboxer" field on sandbox "s": invalid argument/,
    );
    await assert.rejects(sandboxes.update('ns', spec({ id: 'x' }), []), (error) => kindOf(error) === 'not found');
  });

  it('are listed by id and label, and deleted once', async () => {
    await sandboxes.create('ns', spec());
    await sandboxes.create('ns', spec({ id: 't', labels: new Map() }));
    const ids = (...filters: string[]) => sandboxes.list('ns', filters).map(({ id }) => id);
    assert.deepEqual([ids(), ids('id==t'), ids('labels."a.b/c"==1')], [['s', 't'], ['t'], ['s']]);
    await sandboxes.delete('ns', 's');
    await assert.rejects(sandboxes.delete('ns', 's'), { message: 'failed to delete sandbox "s": not found' });
  });
});
