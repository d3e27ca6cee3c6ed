// The part of the suite about the file trees.
import assert from 'node:assert/strict';
import {
  access,
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readFile,
  readdir,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import type { Mount } from '../../lib/mount.ts';
import { withMounts } from './mounting.ts';
import type { Bench, Capabilities } from './bench.ts';

const MEBIBYTE = 1024 * 1024;

export function fileTests(bench: () => Bench, capabilities: Capabilities): void {
  it("shows a child its parents' files and keeps its changes to itself", async () => {
    const { prepare, view, commit } = bench();
    await withMounts(await prepare('one'), async (root) => {
      await mkdir(path.join(root, 'folder/inner'), { recursive: true });
      await writeFile(path.join(root, 'folder/kept'), 'one');
      await writeFile(path.join(root, 'folder/changed'), 'one');
      await writeFile(path.join(root, 'removed'), 'one');
      await writeFile(path.join(root, 'becomes-folder'), 'one');
      await symlink('folder/kept', path.join(root, 'link'));
    });
    await commit('layer-one', 'one');
    await withMounts(await prepare('two', 'layer-one'), async (root) => {
      await writeFile(path.join(root, 'folder/changed'), 'two');
      await rm(path.join(root, 'removed'));
      await rm(path.join(root, 'becomes-folder'));
      await mkdir(path.join(root, 'becomes-folder'));
      await rm(path.join(root, 'folder/inner'), { recursive: true });
      await mkdir(path.join(root, 'folder/inner'));
      await writeFile(path.join(root, 'folder/inner/new'), 'two');
    });
    await commit('layer-two', 'two');
    await withMounts(await prepare('three', 'layer-two'), async (root) => {
      await rename(path.join(root, 'folder/changed'), path.join(root, 'moved'));
    });
    await commit('layer-three', 'three');

    await withMounts(await view('view-one', 'layer-one'), async (root) => {
      assert.deepEqual((await readdir(root)).sort(), ['becomes-folder', 'folder', 'link', 'removed']);
      assert.equal(await readFile(path.join(root, 'folder/changed'), 'utf8'), 'one');
      assert.equal(await readFile(path.join(root, 'link'), 'utf8'), 'one');
    });
    await withMounts(await view('view-three', 'layer-three'), async (root) => {
      assert.deepEqual((await readdir(root)).sort(), ['becomes-folder', 'folder', 'link', 'moved']);
      assert((await lstat(path.join(root, 'becomes-folder'))).isDirectory());
      assert.deepEqual(await readdir(path.join(root, 'folder/inner')), ['new']);
      assert.equal(await readFile(path.join(root, 'moved'), 'utf8'), 'two');
      assert.equal(await readFile(path.join(root, 'folder/kept'), 'utf8'), 'one');
    });
  });

  it('gives views that cannot be written', async () => {
    const { prepare, view, commit } = bench();
    await prepare('key');
    await commit('one', 'key');
    await prepare('key', 'one');
    await commit('two', 'key');
    for (const parent of ['', 'one', 'two']) {
      await withMounts(await view(`view-${parent}`, parent), async (root) => {
        await assert.rejects(writeFile(path.join(root, 'file'), ''), { code: 'EROFS' });
      });
    }
  });

  it("gives the top folder of a child the owner of its parent's", async () => {
    const { prepare, commit } = bench();
    await withMounts(await prepare('key'), async (root) => {
      assert.equal((await lstat(root)).mode & 0o7777, 0o755);
      await chown(root, 1234, 5678);
    });
    await commit('base', 'key');
    for (const key of ['first', 'second']) {
      await withMounts(await prepare(key, 'base'), async (root) => {
        const { uid, gid } = await lstat(root);
        assert.deepEqual([uid, gid], [1234, 5678]);
      });
    }
  });

  it('keeps modes, owners and hard links', async () => {
    const { prepare, view, commit } = bench();
    await withMounts(await prepare('key'), async (root) => {
      await writeFile(path.join(root, 'file'), 'x');
      await link(path.join(root, 'file'), path.join(root, 'same'));
      await chown(path.join(root, 'file'), 7, 8);
      await chmod(path.join(root, 'file'), 0o4751);
    });
    await commit('one', 'key');
    await prepare('key', 'one');
    await commit('two', 'key');
    await withMounts(await view('view', 'two'), async (root) => {
      const [file, same] = await Promise.all(['file', 'same'].map((name) => lstat(path.join(root, name))));
      assert.equal(file?.ino, same?.ino);
      assert.deepEqual([file?.uid, file?.gid, (file?.mode ?? 0) & 0o7777], [7, 8, 0o4751]);
    });
  });

  it('measures what a snapshot takes', async () => {
    const { subject, namespace, prepare, view, commit } = bench();
    const mounts = await prepare('key');
    const empty = await subject.usage(namespace, 'key');
    assert.equal(empty.inodes, 1);
    await withMounts(mounts, async (root) => {
      await writeFile(path.join(root, 'file'), Buffer.alloc(MEBIBYTE, 1));
      await link(path.join(root, 'file'), path.join(root, 'same'));
    });
    const active = await subject.usage(namespace, 'key');
    assert.equal(active.inodes, 2);
    assert(active.size - empty.size >= MEBIBYTE && active.size - empty.size < 2 * MEBIBYTE, `${active.size}`);
    await commit('name', 'key');
    assert.deepEqual(await subject.usage(namespace, 'name'), active);
    await view('view', 'name');
    assert.deepEqual(await subject.usage(namespace, 'view'), { size: 0, inodes: 0 });
  });

  it('joins trees that were made apart', async function () {
    if (!capabilities.rebase) this.skip();
    const { prepare, view, commit } = bench();
    await withMounts(await prepare('low'), (root) => writeFile(path.join(root, 'low'), ''));
    await withMounts(await prepare('high'), (root) => writeFile(path.join(root, 'high'), ''));
    await commit('one', 'low');
    await commit('two', 'high', 'one');
    await withMounts(await view('view', 'two'), async (root) => {
      assert.deepEqual((await readdir(root)).sort(), ['high', 'low']);
    });
  });

  it('leaves no files of what was removed', async function () {
    if (!capabilities.cleanup) this.skip();
    const { subject, scope, prepare } = bench();
    const mounts = await prepare('key');
    await withMounts(mounts, (root) =>
      mkdir(path.join(root, 'some/deep/folder'), { recursive: true }).then(() => undefined),
    );
    const folder = writableFolder(mounts);
    await access(folder);
    await subject.remove(scope, 'key');
    await subject.cleanup();
    await assert.rejects(access(folder), { code: 'ENOENT' });
  });
}

function writableFolder(mounts: readonly Mount[]): string {
  const [mount] = mounts;
  const upper = mount?.options.find((option) => option.startsWith('upperdir='));
  return upper?.slice('upperdir='.length) ?? mount?.source ?? '';
}
