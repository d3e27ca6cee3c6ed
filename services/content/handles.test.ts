import assert from 'node:assert/strict';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { Handles } from './handles.ts';

async function isClosed(handle: { stat(): Promise<unknown> }): Promise<boolean> {
  return handle.stat().then(
    () => false,
    () => true,
  );
}

describe('open files', () => {
  it('are lent again, closed when idle, and given up when the name is', async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, 'f');
    await writeFile(file, 'one');
    const handles = new Handles();
    const first = await handles.lend(file);
    const second = await handles.lend(file);
    assert.equal(first.handle, second.handle);
    first.release();
    first.release();
    second.release();
    const third = await handles.lend(file);
    assert.equal(third.handle, first.handle);
    await writeFile(`${file}2`, 'two');
    await rename(`${file}2`, file);
    handles.forget(file);
    const renewed = await handles.lend(file);
    assert.equal((await renewed.handle.readFile()).toString(), 'two');
    assert.equal(await isClosed(first.handle), false);
    third.release();
    renewed.release();
    for (let waited = 0; !(await isClosed(renewed.handle)) && waited < 5000; waited += 50) await sleep(50);
    assert.ok(await isClosed(renewed.handle));
    await handles.close();
    await assert.rejects(handles.lend(path.join(folder.path, 'none')), { code: 'ENOENT' });
  });

  it('stay few, however many are used', async () => {
    await using folder = await temporaryFolder();
    const handles = new Handles();
    const lent = [];
    for (let at = 0; at < 100; at++) {
      const file = path.join(folder.path, String(at));
      await writeFile(file, '');
      const one = await handles.lend(file);
      one.release();
      lent.push(one.handle);
    }
    await sleep(50);
    const open = await Promise.all(lent.map(async (handle) => !(await isClosed(handle))));
    assert.ok(open.filter(Boolean).length <= 32);
    await handles.close();
    assert.ok(await isClosed(lent[99] as (typeof lent)[number]));
  });
});
