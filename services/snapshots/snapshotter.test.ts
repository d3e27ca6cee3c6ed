import assert from 'node:assert/strict';
import { appendFile, lstat, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createSubvolume } from '../../native/addon/index.ts';
import { kindOf } from '../lib/errors.ts';
import { NO_LABELS } from '../lib/labels.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import type { Driver, Snapshotter, Tree } from './api.ts';
import { createBtrfsDriver } from './drivers/btrfs.ts';
import { createErofsDriver } from './drivers/erofs.ts';
import { createOverlayDriver } from './drivers/overlayfs.ts';
import { nativeFiles } from './drivers/native-files.ts';
import { createBtrfsDisk, withoutBtrfs } from './testing/btrfs.ts';
import { native, overlay, start } from './testing/start.ts';
import { snapshotterSuite, type Opened } from './testing/suite.ts';

async function open(makeDriver: (root: string) => Promise<Driver>): Promise<Opened> {
  const folder = await temporaryFolder();
  const { subject, leases, stop } = await start(folder.path, makeDriver);
  return {
    subject,
    makeLease: async (namespace) => (await leases.create(namespace, undefined, NO_LABELS)).id,
    async close() {
      await stop();
      await folder[Symbol.asyncDispose]();
    },
  };
}

snapshotterSuite('overlayfs', { rebase: true, cleanup: true, classified: true }, () => open(overlay));
snapshotterSuite('native', { rebase: false, cleanup: true, classified: true }, () => open(native));
snapshotterSuite('erofs', { rebase: true, cleanup: true, classified: true }, () =>
  open((root) => createErofsDriver(root, nativeFiles, { mountOptions: [] })),
);

describe('on btrfs', () => {
  const disk = createBtrfsDisk();
  const missing = withoutBtrfs();
  before(function () {
    if (missing !== undefined) {
      process.stdout.write(`    skipped: ${missing}\n`);
      this.skip();
    }
    disk.mount();
  });
  after(() => missing === undefined && disk.remove());

  snapshotterSuite('btrfs', { rebase: false, cleanup: true, classified: true }, () =>
    open(() => createBtrfsDriver(path.join(disk.path, 'driver'), nativeFiles)),
  );

  it('removes subvolumes that were made within a snapshot', async () => {
    const driver = await createBtrfsDriver(path.join(disk.path, 'nested'), nativeFiles);
    const tree = { id: '1', kind: 'active', parents: [], labels: NO_LABELS } as const;
    await driver.create(tree);
    const [mount] = driver.mounts(tree);
    await createSubvolume(path.join(mount?.source ?? '', 'inner'));
    await writeFile(path.join(mount?.source ?? '', 'inner/file'), '');
    await driver.remove('1');
    assert.deepEqual(await driver.trees(), []);
  });

  it('counts what a snapshot has that its parent has not', async () => {
    const driver = await createBtrfsDriver(path.join(disk.path, 'usage'), nativeFiles);
    const tree = { id: '1', kind: 'active', parents: [], labels: NO_LABELS } as const;
    const child = { ...tree, id: '2', parents: ['1'] };
    await driver.create(tree);
    const at = (one: Tree, name: string): string => path.join(driver.mounts(one)[0]?.source ?? '', name);
    for (const name of ['a', 'b', 'c']) await writeFile(at(tree, name), Buffer.alloc(1 << 20, 1));
    await driver.commit(tree);
    await driver.committed?.('1');
    await driver.create(child);
    assert.equal((await driver.usage(child)).inodes, 0);
    await appendFile(at(child, 'b'), 'more');
    const { inodes, size } = await driver.usage(child);
    assert.equal(inodes, 1);
    assert(size > 1 << 20 && size < 2 << 20, String(size));
    await driver.remove('2');
    await driver.remove('1');
  });

  it('is not tried elsewhere', async () => {
    await using folder = await temporaryFolder();
    await assert.rejects(createBtrfsDriver(path.join(folder.path, 'btrfs'), nativeFiles), /is not on btrfs/);
  });
});

describe('snapshots', () => {
  const scope = { namespace: 'test', lease: undefined };

  it('refuses snapshotters that are not loaded', async () => {
    await using folder = await temporaryFolder();
    const { snapshots, stop } = await start(folder.path, overlay);
    const refused = (text: string) => (error: Error) => kindOf(error) === 'invalid argument' && error.message === text;
    assert.throws(() => snapshots.get('zfs'), refused('snapshotter not loaded: zfs: invalid argument'));
    assert.throws(() => snapshots.get(''), refused('snapshotter argument missing: invalid argument'));
    await stop();
  });

  it('tells of what it did', async () => {
    await using folder = await temporaryFolder();
    const { subject, published, stop } = await start(folder.path, overlay);
    await subject.prepare(scope, 'key', '', NO_LABELS);
    await subject.commit(scope, 'name', 'key', '', NO_LABELS);
    await subject.view(scope, 'view', 'name', NO_LABELS);
    await subject.remove(scope, 'view');
    assert.deepEqual(
      published.filter((line) => line.includes('/snapshot/')),
      [
        'test /snapshot/prepare {"key":"key","parent":"","snapshotter":"overlayfs"}',
        'test /snapshot/commit {"key":"key","name":"name","snapshotter":"overlayfs"}',
        'test /snapshot/remove {"key":"view","snapshotter":"overlayfs"}',
      ],
    );
    await stop();
  });

  it('reads a committed folder once, when somebody asks what it takes', async () => {
    await using folder = await temporaryFolder();
    let read = 0;
    const counting = async (root: string): Promise<Driver> => {
      const driver = await overlay(root);
      return { ...driver, usage: (tree) => (read++, driver.usage(tree)) };
    };
    const first = await start(folder.path, counting);
    const [mount] = await first.subject.prepare(scope, 'key', '', NO_LABELS);
    await writeFile(path.join(mount?.source ?? '', 'file'), 'x'.repeat(10_000));
    await first.subject.commit(scope, 'name', 'key', '', NO_LABELS);
    assert.equal(read, 0);
    const usage = await first.subject.usage('test', 'name');
    assert.equal(usage.inodes, 2);
    assert.deepEqual(await first.subject.usage('test', 'name'), usage);
    await first.stop();
    const second = await start(folder.path, counting);
    assert.deepEqual(await second.subject.usage('test', 'name'), usage);
    assert.equal(read, 1);
    await second.stop();
  });

  it('goes on after a restart, and removes what a crash left', async () => {
    await using folder = await temporaryFolder();
    const first = await start(folder.path, overlay);
    await first.subject.prepare(scope, 'key', '', NO_LABELS);
    await first.subject.commit(scope, 'name', 'key', '', NO_LABELS);
    await first.subject.prepare(scope, 'child', 'name', NO_LABELS);
    const known = await first.trees();
    await first.stop();
    await mkdir(path.join(folder.path, 'driver/snapshots/41/fs/half/made'), { recursive: true });

    const second = await start(folder.path, overlay);
    await second.subject.cleanup();
    assert.deepEqual(await second.trees(), known);
    assert.equal(second.subject.stat('test', 'child').parent, 'name');
    await assert.rejects(second.subject.remove(scope, 'name'), /with child/);
    await second.subject.prepare(scope, 'next', 'name', NO_LABELS);
    assert.deepEqual(await second.trees(), [...known, '42'], 'ids of leftovers are not used again');
    await second.stop();
  });

  it('is collected when nothing holds it, children with their parents', async () => {
    await using folder = await temporaryFolder();
    const { subject, leases, gc, trees, published, stop } = await start(folder.path, overlay);
    const lease = await leases.create('test', undefined, NO_LABELS);
    const held = { namespace: 'test', lease: lease.id };
    for (const [name, parent, by] of [
      ['base', '', scope],
      ['middle', 'base', scope],
      ['top', 'middle', held],
      ['unused', 'base', scope],
      ['alone', '', scope],
    ] as const) {
      await subject.prepare(by, `${name}-key`, parent, NO_LABELS);
      await subject.commit(by, name, `${name}-key`, '', NO_LABELS);
    }
    await subject.prepare(scope, 'root', '', new Map([['containerd.io/gc.root', new Date().toISOString()]]));
    await gc.collect();
    const names = (): string[] => subject.list('test', []).map((info) => info.name);
    assert.deepEqual(names(), ['base', 'middle', 'root', 'top']);
    assert.equal((await trees()).length, 4);
    assert(published.some((line) => line.includes('/snapshot/remove {"key":"unused"')));

    await leases.delete('test', lease.id, true, new AbortController().signal);
    assert.deepEqual(names(), ['root']);
    assert.equal((await trees()).length, 1);
    await stop();
  });

  it('forgets after a power cut what may not have been on disk, and what was made on it', async () => {
    await using folder = await temporaryFolder();
    const commit = async (subject: Snapshotter, name: string, parent: string): Promise<void> => {
      await subject.prepare(scope, `${name}-key`, parent, NO_LABELS);
      await subject.commit(scope, name, `${name}-key`, '', NO_LABELS);
    };
    const commitOf = (subject: Snapshotter, name: string): Promise<void> =>
      subject.commit(scope, name, `${name}-key`, '', NO_LABELS);
    const before = await start(folder.path, overlay);
    await commit(before.subject, 'old', '');
    await before.stop();
    // Commits that wait for the disk are not acknowledged, but their records are there.
    const stuck = async (root: string): Promise<Driver> => ({
      ...(await overlay(root)),
      sync: () => new Promise<void>(() => undefined),
    });
    const first = await start(folder.path, stuck);
    for (const [name, parent] of [
      ['new', 'old'],
      ['newer', 'new'],
    ] as const) {
      await first.subject.prepare(scope, `${name}-key`, parent, NO_LABELS);
      const waits = commitOf(first.subject, name);
      assert.equal(await Promise.race([waits, sleep(50, 'waiting')]), 'waiting');
    }
    await first.subject.prepare(scope, 'work', 'newer', NO_LABELS);
    await first.subject.prepare(scope, 'kept', 'old', NO_LABELS);
    await first.crash();

    const second = await start(folder.path, stuck);
    assert.deepEqual(
      second.subject.list('test', []).map((info) => info.name),
      ['kept', 'new', 'newer', 'old', 'work'],
      'the machine did not stop',
    );
    await second.crash();

    const third = await start(folder.path, overlay, 'boot-2');
    assert.deepEqual(
      third.subject.list('test', []).map((info) => info.name),
      ['kept', 'old'],
    );
    await third.stop();
    const fourth = await start(folder.path, overlay, 'boot-3');
    assert.equal(fourth.subject.list('test', []).length, 2);
    await fourth.stop();
  });

  it('keeps a namespace from being deleted', async () => {
    await using folder = await temporaryFolder();
    const { subject, namespaces, stop } = await start(folder.path, overlay);
    await subject.prepare(scope, 'key', '', NO_LABELS);
    await assert.rejects(namespaces.delete('test'), /snapshots on "overlayfs" snapshotter/);
    await stop();
  });

  it('tells where the changes are when it is configured to', async () => {
    await using folder = await temporaryFolder();
    const labelled = (root: string): Promise<Driver> =>
      createOverlayDriver(root, nativeFiles, { mountOptions: ['index=on', 'metacopy=on'], upperdirLabel: true });
    const { subject, stop } = await start(folder.path, labelled);
    await subject.prepare(scope, 'key', '', NO_LABELS);
    await subject.commit(scope, 'base', 'key', '', NO_LABELS);
    const [mount] = await subject.prepare(scope, 'key', 'base', new Map([['a', 'b']]));
    const upper = subject.stat('test', 'key').labels.get('containerd.io/snapshot/overlay.upperdir');
    assert(upper !== undefined && mount !== undefined);
    assert(mount.options.includes(`upperdir=${upper}`));
    assert.deepEqual(mount.options.slice(-2), ['index=on', 'metacopy=on']);
    assert.equal(subject.list('test', [`labels."containerd.io/snapshot/overlay.upperdir"=="${upper}"`]).length, 1);
    await stop();
  });

  it('gives root the ids that labels map it to', async () => {
    await using folder = await temporaryFolder();
    const { subject, stop } = await start(folder.path, overlay);
    const labels = new Map([
      ['containerd.io/snapshot/uidmapping', '0:100000:65536'],
      ['containerd.io/snapshot/gidmapping', '0:200000:65536'],
    ]);
    const [mount] = await subject.prepare(scope, 'key', '', labels);
    const { uid, gid } = await lstat(mount?.source ?? '');
    assert.deepEqual([uid, gid], [100000, 200000]);
    await stop();
  });

  it('leaves nothing of a snapshot that could not be made', async () => {
    await using folder = await temporaryFolder();
    const { subject, trees, stop } = await start(folder.path, overlay);
    for (const mapping of ['nonsense', '5:100000:10', '0:1:99999999999']) {
      const labels = new Map([['containerd.io/snapshot/uidmapping', mapping]]);
      await assert.rejects(subject.prepare(scope, 'key', '', labels), (error) => kindOf(error) === 'invalid argument');
    }
    await subject.cleanup();
    assert.deepEqual(await trees(), []);
    await stop();
  });
});
