// When layers are mounted, and that containers do not notice. What a snapshotter does is the suite's matter.
import assert from 'node:assert/strict';
import { access, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listMounts, mountAll, unmountAll } from '../../../native/addon/index.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import { temporaryFolder } from '../../lib/testing/folder.ts';
import type { Driver, Tree } from '../api.ts';
import { createErofsDriver, nativeImage } from './erofs.ts';
import { nativeFiles } from './native-files.ts';

const start = (root: string): Promise<Driver> => createErofsDriver(root, nativeFiles, { mountOptions: [] });
const active = (id: string, ...parents: string[]): Tree => ({ id, kind: 'active', parents, labels: NO_LABELS });
const committed = (id: string, ...parents: string[]): Tree => ({ ...active(id, ...parents), kind: 'committed' });

/** Ids of the layers that are mounted. */
async function mounted(root: string): Promise<string[]> {
  const below = (await listMounts()).filter(({ target }) => target.startsWith(`${root}/`));
  return below.map(({ target }) => path.basename(path.dirname(target))).sort();
}

async function commit(driver: Driver, root: string, id: string, ...parents: string[]): Promise<void> {
  await driver.create(active(id, ...parents));
  await writeFile(path.join(root, 'snapshots', id, 'fs', `file-${id}`), id);
  await driver.commit(active(id, ...parents));
  await driver.committed?.(id);
}

describe('layers as EROFS images', () => {
  before(function () {
    if (process.getuid?.() !== 0) this.skip();
  });

  it('are mounted as long as somebody works on top of them', async () => {
    await using folder = await temporaryFolder();
    const root = folder.path;
    const driver = await start(root);
    await commit(driver, root, '1');
    assert.deepEqual(await readdir(path.join(root, 'snapshots/1')), ['layer.erofs']);
    await commit(driver, root, '2', '1');
    await driver.create(active('3', '2', '1'));
    await driver.create(active('4', '1'));
    assert.deepEqual(await mounted(root), ['1', '2']);
    await driver.remove('3');
    while ((await mounted(root)).length > 1) await sleep(50);
    assert.deepEqual(await mounted(root), ['1']);
    await assert.rejects(access(path.join(root, 'snapshots/2/layer')), { code: 'ENOENT' });
    await driver.remove('4');
    while ((await mounted(root)).length > 0) await sleep(50);
    await driver.ready?.(active('5', '1'));
    await driver.remove('1');
    assert.deepEqual(await mounted(root), []);
    await driver.close?.();
  });

  it('stay with a container when the daemon ends', async () => {
    await using folder = await temporaryFolder();
    const root = folder.path;
    const driver = await start(root);
    await commit(driver, root, '1');
    await commit(driver, root, '2', '1');
    const tree = active('3', '2', '1');
    await driver.create(tree);
    const target = path.join(root, 'container');
    await mkdir(target);
    await mountAll(driver.mounts(tree), target);
    await driver.close?.();
    assert.deepEqual(await mounted(path.join(root, 'snapshots')), []);
    assert.equal(await readFile(path.join(target, 'file-1'), 'utf8'), '1');
    await unmountAll(target);
    await assert.rejects(mountAll(driver.mounts(tree), target), { code: 'ENOENT' });
  });

  it('are mounted again after a restart, those that are needed', async () => {
    await using folder = await temporaryFolder();
    const root = folder.path;
    const trees = [committed('1'), committed('2', '1'), active('3', '2', '1'), committed('4'), active('5', '4')];
    const first = await start(root);
    await commit(first, root, '1');
    await commit(first, root, '2', '1');
    await first.create(active('3', '2', '1'));
    await commit(first, root, '4');
    await first.create(active('5', '4'));

    // The machine stops: mount points are there, mounts are not. And a layer has not lost its upper folder yet.
    for (const id of ['1', '2']) await unmountAll(path.join(root, 'snapshots', id, 'layer'));
    await mkdir(path.join(root, 'snapshots/4/fs/left'), { recursive: true });
    const second = await start(root);
    await second.recover?.(trees.slice(0, 4));
    assert.deepEqual(await mounted(root), ['1', '2']);
    assert.deepEqual(await readdir(path.join(root, 'snapshots/4')), ['layer.erofs']);
    await unmountAll(path.join(root, 'snapshots/1/layer'));

    const third = await start(root);
    await third.recover?.(trees.slice(0, 2));
    assert.deepEqual(await mounted(root), []);
    assert.deepEqual(await readdir(path.join(root, 'snapshots/1')), ['layer.erofs']);
    await third.close?.();
  });

  it('have a place for images that are layers already', () => {
    assert.equal(nativeImage('/x/erofs', '/x/erofs/snapshots/7/fs'), '/x/erofs/snapshots/7/native.erofs');
    for (const other of ['/x/overlayfs/snapshots/7/fs', '/x/erofs/snapshots/7/work', '/x/erofs/snapshots/fs', '/tmp'])
      assert.equal(nativeImage('/x/erofs', other), undefined);
  });
});
