import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { overlayLayers, readOnly } from './mount.ts';
import { readInRoot } from './resolve.ts';
import { directoryUserFiles, snapshotUserFiles } from './users.ts';

describe('rootfs', () => {
  let directory = '';
  beforeEach(() => (directory = mkdtempSync('/tmp/davit-rootfs-')));
  afterEach(() => rmSync(directory, { recursive: true }));

  const make = (file: string, content = file): void => {
    mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
    writeFileSync(path.join(directory, file), content);
  };
  const link = (target: string, file: string): void => symlinkSync(target, path.join(directory, file));
  const overlay = (upper: string | undefined, ...lower: string[]) => ({
    type: 'overlay',
    source: 'overlay',
    target: '',
    options: [
      ...(upper === undefined ? [] : [`upperdir=${directory}/${upper}`, `workdir=${directory}/work`]),
      `lowerdir=${lower.map((each) => `${directory}/${each}`).join(':')}`,
    ],
  });

  it('follows links inside the root only', () => {
    make('secret', 'of the host');
    make('root/etc/real', 'inside');
    link(`${directory}/secret`, 'root/etc/absolute');
    link('../../secret', 'root/etc/relative');
    link('/etc/real', 'root/etc/passwd');
    link('/', 'root/loop');
    link('self', 'root/self');
    const root = `${directory}/root`;
    assert.equal(readInRoot(root, 'etc/absolute'), undefined);
    assert.equal(readInRoot(root, 'etc/relative'), undefined);
    assert.equal(readInRoot(root, '../secret'), undefined);
    assert.equal(readInRoot(root, 'etc/passwd'), 'inside');
    assert.equal(readInRoot(root, 'loop/loop/etc/passwd'), 'inside');
    assert.equal(readInRoot(root, 'self'), undefined);
    assert.equal(readInRoot(root, 'etc/real/below'), undefined);
  });

  it('reads regular files of a sane size only', () => {
    make('root/etc/huge', '');
    truncateSync(`${directory}/root/etc/huge`, 5 * 2 ** 30);
    execFileSync('mkfifo', [`${directory}/root/etc/fifo`]);
    for (const name of ['huge', 'fifo', ''])
      assert.throws(() => readInRoot(`${directory}/root`, `etc/${name}`), /larger than|not a regular file/);
  });

  it('sees through the layers of a snapshot', async () => {
    make('low/etc/passwd', 'low');
    make('low/etc/group', 'low group');
    make('high/usr/bin/tool');
    mkdirSync(`${directory}/upper`);
    const files = snapshotUserFiles([overlay('upper', 'high', 'low')]);
    assert.deepEqual([await files.passwd(), await files.group()], ['low', 'low group']);
    assert.equal(await snapshotUserFiles([overlay('upper', 'high')]).passwd(), '');
  });

  it('asks the kernel where layers hide each other', async function () {
    if (process.getuid?.() !== 0) return this.skip();
    make('low/etc/passwd', 'low');
    make('high/etc/group', 'high group');
    make('linked/etc/shadow');
    link('/etc/shadow', 'linked/etc/passwd');
    mkdirSync(`${directory}/upper`);
    const both = snapshotUserFiles([overlay('upper', 'high', 'low')]);
    assert.deepEqual([await both.passwd(), await both.group()], ['low', 'high group']);
    assert.equal(await snapshotUserFiles([overlay('upper', 'linked', 'low')]).passwd(), 'linked/etc/shadow');
    const bind = { type: 'bind', source: `${directory}/low`, target: '', options: ['rbind', 'ro'] };
    assert.equal(await snapshotUserFiles([bind]).passwd(), 'low');
    assert.equal(await directoryUserFiles(`${directory}/low`).passwd(), 'low');
  });

  it('looks without being able to write', () => {
    const [mount] = readOnly([overlay('upper', 'high', 'low')]);
    assert.ok(mount?.options.includes('ro'));
    assert.deepEqual(overlayLayers(mount ?? overlay(undefined)), {
      upper: undefined,
      lower: ['upper', 'high', 'low'].map((each) => `${directory}/${each}`),
    });
  });
});
