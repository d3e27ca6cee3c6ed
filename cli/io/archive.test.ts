import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, describe, it } from 'mocha';
import { withArchive } from './archive.ts';

describe('a file that a command writes', () => {
  const folder = mkdtempSync('/tmp/davit-archive-');
  after(() => rmSync(folder, { recursive: true, force: true }));
  const { signal } = new AbortController();
  const file = path.join(folder, 'a');
  const refuse = (): Promise<void> => Promise.reject(new Error('refused'));

  it('is there in full, or as it was', async () => {
    await assert.rejects(withArchive(file, signal, refuse), /refused/);
    assert.deepEqual(readdirSync(folder), []);
    await withArchive(file, signal, async (output) => void (await Promise.resolve(output.write('one'))));
    assert.equal(readFileSync(file, 'utf8'), 'one');
    symlinkSync('a', path.join(folder, 'link'));
    const half = withArchive(path.join(folder, 'link'), signal, async (output) => {
      output.write('half');
      await refuse();
    });
    await assert.rejects(half, /refused/);
    await withArchive(
      path.join(folder, 'link'),
      signal,
      async (output) => void (await Promise.resolve(output.write('two'))),
    );
    assert.equal(readFileSync(file, 'utf8'), 'two');
    assert.deepEqual(readdirSync(folder).sort(), ['a', 'link']);
    await assert.rejects(
      withArchive(path.join(folder, 'none/a'), signal, () => Promise.resolve()),
      /ENOENT/,
    );
  });

  it('stays what it is when it is no file', async () => {
    const device = path.join(folder, 'null');
    if (process.getuid?.() !== 0) writeFileSync(device, '');
    else execFileSync('mknod', [device, 'c', '1', '3']);
    await assert.rejects(withArchive(device, signal, refuse), /refused/);
    await withArchive(device, signal, async (output) => void (await Promise.resolve(output.write('gone'))));
    assert.ok(statSync(device).isCharacterDevice() || process.getuid?.() !== 0);
  });

  it('may be a pipe, which is waited for until the signal says so', async () => {
    const fifo = path.join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const tired = new AbortController();
    const waiting = withArchive(fifo, tired.signal, () => Promise.resolve());
    setTimeout(() => tired.abort(), 100);
    await assert.rejects(waiting, /abort/i);
    const written = withArchive(fifo, signal, async (output) => void (await Promise.resolve(output.write('piped'))));
    assert.equal(await readFile(fifo, 'utf8'), 'piped');
    await written;
  });
});
