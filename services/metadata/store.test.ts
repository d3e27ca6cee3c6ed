import assert from 'node:assert/strict';
import { rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { kindOf } from '../lib/errors.ts';
import { smallDisk, temporaryFolder } from '../lib/testing/folder.ts';
import type { Table } from './api.ts';
import { jsonCodec } from './codec.ts';
import { MetadataStore } from './store.ts';
import { compareBytes, MemoryTable } from './table.ts';

type Record = { text: string };

async function openStore(folder: string): Promise<{ store: MetadataStore; table: Table<Record> }> {
  const store = new MetadataStore(folder);
  const table = store.table('things', jsonCodec<Record>());
  await store.open();
  return { store, table };
}

describe('metadata store', () => {
  it('reads back after a restart what was acknowledged', async () => {
    await using folder = await temporaryFolder();
    const first = await openStore(folder.path);
    await first.store.update((tx) => {
      tx.put(first.table, 'a', 'ü/__proto__', { text: 'one' });
      tx.put(first.table, 'b', 'y', { text: 'two' });
    });
    await first.store.update((tx) => tx.delete(first.table, 'b', 'y'));
    await first.store.close();
    const second = await openStore(folder.path);
    assert.deepEqual(second.table.list('a'), [['ü/__proto__', { text: 'one' }]]);
    assert.deepEqual(second.table.namespaces(), ['a']);
    await second.store.close();
  });

  it('leaves nothing of a transaction that throws', async () => {
    await using folder = await temporaryFolder();
    const { store, table } = await openStore(folder.path);
    await store.update((tx) => tx.put(table, 'a', 'x', { text: 'before' }));
    await assert.rejects(
      store.update((tx) => {
        tx.put(table, 'a', 'x', { text: 'after' });
        tx.delete(table, 'a', 'x');
        tx.put(table, 'a', 'y', { text: 'new' });
        throw new Error('no');
      }),
      /no/,
    );
    assert.deepEqual(table.list('a'), [['x', { text: 'before' }]]);
    await store.close();
  });

  it('shows a change at once and refuses NUL in names', async () => {
    await using folder = await temporaryFolder();
    const { store, table } = await openStore(folder.path);
    const durable = store.update((tx) => tx.put(table, 'a', 'x', { text: '' }));
    assert.ok(table.has('a', 'x'));
    await durable;
    await assert.rejects(
      store.update((tx) => tx.put(table, 'a', 'x\0y', { text: '' })),
      (error) => kindOf(error) === 'invalid argument',
    );
    await store.close();
    await assert.rejects(
      store.update((tx) => tx.put(table, 'a', 'z', { text: '' })),
      (error) => kindOf(error) === 'unavailable',
    );
    assert.ok(!table.has('a', 'z'));
  });

  it('tells hooks once per namespace and transaction, and indexes every change', async () => {
    await using folder = await temporaryFolder();
    const changes: string[] = [];
    const store = new MetadataStore(folder.path);
    const table = store.table<Record>('things', jsonCodec(), (namespace, key, before, after) =>
      changes.push(`${namespace}/${key} ${before?.text ?? '-'} ${after?.text ?? '-'}`),
    );
    const seen: string[] = [];
    store.whenWritten((_tx, namespace) => seen.push(namespace));
    await store.open();
    await store.update((tx) => {
      tx.put(table, 'a', '1', { text: 'x' });
      tx.put(table, 'a', '2', { text: 'x' });
      tx.put(table, '', '3', { text: 'x' });
    });
    await assert.rejects(
      store.update((tx) => {
        tx.put(table, 'a', '1', { text: 'y' });
        throw new Error('no');
      }),
    );
    assert.deepEqual(seen, ['a', 'a']);
    assert.deepEqual(changes, ['a/1 - x', 'a/2 - x', '/3 - x', 'a/1 x y', 'a/1 y x']);
    await store.close();
  });

  it('refuses a second daemon, and a database that a newer davit wrote', async () => {
    await using folder = await temporaryFolder();
    const { store } = await openStore(folder.path);
    await assert.rejects(openStore(folder.path), (error) => kindOf(error) === 'failed precondition');
    await store.close();
  });

  it('undoes what a full disk refuses, and goes on when there is room', async function () {
    this.timeout(20_000);
    await using disk = await smallDisk(3 << 20);
    if (disk === undefined) return this.skip();
    const folder = path.join(disk.path, 'metadata');
    const ballast = path.join(disk.path, 'ballast');
    const { store, table } = await openStore(folder);
    await store.update((tx) => tx.put(table, 'a', 'kept', { text: 'old' }));
    await writeFile(ballast, Buffer.alloc(4 << 20)).catch(() => undefined);
    const big = 'x'.repeat(300_000);
    const refused = await Promise.allSettled([
      store.update((tx) => tx.put(table, 'a', 'kept', { text: big })),
      store.update((tx) => tx.put(table, 'a', 'new', { text: big })),
    ]);
    for (const result of refused) {
      assert.equal(result.status, 'rejected');
      assert.equal(kindOf(result.status === 'rejected' ? result.reason : undefined), 'resource exhausted');
    }
    await assert.rejects(store.update((tx) => tx.put(table, 'a', 'still', { text: big })));
    assert.deepEqual(table.list('a'), [['kept', { text: 'old' }]]);
    await rm(ballast);
    await store.update((tx) => tx.put(table, 'a', 'later', { text: 'fine' }));
    await store.close();
    const again = await openStore(folder);
    assert.deepEqual(again.table.list('a'), [
      ['kept', { text: 'old' }],
      ['later', { text: 'fine' }],
    ]);
    await again.store.close();
  });
});

describe('memory table', () => {
  it('is a sorted map, whatever is done to it', () => {
    const key = fc.string({ unit: 'binary', maxLength: 2 });
    fc.assert(
      fc.property(fc.array(fc.tuple(key, fc.option(fc.nat(), { nil: undefined }))), (steps) => {
        const table = new MemoryTable<number>('t', jsonCodec());
        const model = new Map<string, number>();
        for (const [name, value] of steps) {
          assert.equal(table.set('n', name, value), model.get(name));
          if (value === undefined) model.delete(name);
          else model.set(name, value);
          assert.deepEqual(
            table.list('n'),
            [...model].sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
          );
          assert.equal(table.size('n'), model.size);
        }
      }),
    );
  });

  it('orders by UTF-8 bytes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        assert.equal(Math.sign(compareBytes(a, b)), Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
    );
  });
});
