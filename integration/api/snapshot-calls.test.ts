import { strict as assert } from 'node:assert';
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import { SNAPSHOTTERS } from '../harness/cleanup.ts';
import { collect, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { mounted } from '../harness/mounted.ts';
import { davitOnly } from '../harness/only.ts';

const KIND = { UNKNOWN: 0, VIEW: 1, ACTIVE: 2, COMMITTED: 3 } as const;
/** The collector must not take what a test has just made. */
const KEEP = { 'containerd.io/gc.root': 'now' };

for (const snapshotter of SNAPSHOTTERS) {
  describe(`snapshots: ${snapshotter}`, () => {
    const t = useDaemon();

    const prepare = async (key: string, parent = '', client: Client = t.client): Promise<Mount[]> =>
      (await client.snapshots.Prepare({ snapshotter, key, parent, labels: KEEP })).mounts;
    const commit = (key: string, name: string) => t.client.snapshots.Commit({ snapshotter, key, name, labels: KEEP });
    const stat = async (key: string) => present((await t.client.snapshots.Stat({ snapshotter, key })).info);

    it('layers one upon the other', async () => {
      mounted(await prepare('base-work'), (directory) => {
        writeFileSync(path.join(directory, 'base'), 'base');
        writeFileSync(path.join(directory, 'changed'), 'old');
        mkdirSync(path.join(directory, 'folder'));
      });
      await commit('base-work', 'base');
      mounted(await prepare('top-work', 'base'), (directory) => {
        assert.equal(readFileSync(path.join(directory, 'base'), 'utf8'), 'base');
        writeFileSync(path.join(directory, 'changed'), 'new');
        rmdirSync(path.join(directory, 'folder'));
      });
      await commit('top-work', 'top');
      const { mounts } = await t.client.snapshots.View({ snapshotter, key: 'view', parent: 'top', labels: KEEP });
      mounted(mounts, (directory) => {
        assert.equal(readFileSync(path.join(directory, 'changed'), 'utf8'), 'new');
        assert.ok(!existsSync(path.join(directory, 'folder')));
        assert.throws(() => writeFileSync(path.join(directory, 'new'), ''), /EROFS/);
      });
      const old = await t.client.snapshots.View({ snapshotter, key: 'old-view', parent: 'base', labels: KEEP });
      mounted(old.mounts, (directory) => assert.equal(readFileSync(path.join(directory, 'changed'), 'utf8'), 'old'));
    });

    it('gives the same mounts again', async () => {
      const mounts = await prepare('again');
      assert.deepEqual((await t.client.snapshots.Mounts({ snapshotter, key: 'again' })).mounts, mounts);
      await fails(t.client.snapshots.Mounts({ snapshotter, key: 'nothing' }), 'not found');
    });

    it('tells kind, parent, labels and times', async () => {
      await prepare('stat-work');
      const active = await stat('stat-work');
      assert.equal(active.kind, KIND.ACTIVE);
      assert.equal(active.parent, '');
      assert.deepEqual(active.labels, KEEP);
      await commit('stat-work', 'stat-base');
      const committed = await stat('stat-base');
      assert.equal(committed.kind, KIND.COMMITTED);
      await fails(t.client.snapshots.Stat({ snapshotter, key: 'stat-work' }), 'not found');
      await t.client.snapshots.View({
        snapshotter,
        key: 'stat-view',
        parent: 'stat-base',
        labels: { ...KEEP, color: 'red' },
      });
      const view = await stat('stat-view');
      assert.equal(view.kind, KIND.VIEW);
      assert.equal(view.parent, 'stat-base');
      assert.equal(view.labels['color'], 'red');
      assert.ok(Math.abs(Number(view.created_at?.seconds) - Date.now() / 1000) < 60);
    });

    it('refuses duplicates, unknown parents and parents that are not committed', async () => {
      await prepare('dup');
      await fails(prepare('dup'), 'already exists');
      await fails(prepare('orphan', 'nothing'), 'not found');
      await fails(t.client.snapshots.Stat({ snapshotter, key: 'orphan' }), 'not found');
      await fails(prepare('child', 'dup'), 'invalid argument');
      await commit('dup', 'dup-base');
      await prepare('dup2');
      await fails(commit('dup2', 'dup-base'), 'already exists');
      await fails(commit('nothing', 'name'), 'not found');
      await assert.rejects(commit('dup-base', 'name'));
      await t.client.snapshots.View({ snapshotter, key: 'dup-view', parent: 'dup-base', labels: KEEP });
      await assert.rejects(commit('dup-view', 'from-view'));
    });

    it('answers already exists for a snapshot that a label names', async () => {
      await prepare('ref-work');
      await commit('ref-work', 'ref-base');
      const labels = { ...KEEP, 'containerd.io/snapshot.ref': 'ref-base' };
      await fails(t.client.snapshots.Prepare({ snapshotter, key: 'ref-again', parent: '', labels }), 'already exists');
    });

    it('removes, children first', async () => {
      await prepare('parent-work');
      await commit('parent-work', 'parent');
      await prepare('child-work', 'parent');
      await fails(t.client.snapshots.Remove({ snapshotter, key: 'parent' }), 'failed precondition', /child/);
      await t.client.snapshots.Remove({ snapshotter, key: 'child-work' });
      await t.client.snapshots.Remove({ snapshotter, key: 'parent' });
      await fails(t.client.snapshots.Remove({ snapshotter, key: 'parent' }), 'not found');
    });

    it('counts bytes and inodes', async () => {
      mounted(await prepare('usage'), (directory) => {
        writeFileSync(path.join(directory, 'file'), Buffer.alloc(256 * 1024, 1));
      });
      const usage = await t.client.snapshots.Usage({ snapshotter, key: 'usage' });
      assert.ok(Number(usage.size) >= 256 * 1024 && Number(usage.size) < 400 * 1024, usage.size);
      assert.ok(Number(usage.inodes) >= 2 && Number(usage.inodes) <= 4, usage.inodes);
      await commit('usage', 'usage-base');
      const committed = await t.client.snapshots.Usage({ snapshotter, key: 'usage-base' });
      assert.ok(Number(committed.size) >= 256 * 1024);
      await fails(t.client.snapshots.Usage({ snapshotter, key: 'nothing' }), 'not found');
    });

    it('lists with filters', async () => {
      const client = t.inNewNamespace();
      await prepare('one', '', client);
      await prepare('two', '', client);
      await client.snapshots.Commit({ snapshotter, key: 'two', name: 'two-base', labels: { ...KEEP, color: 'red' } });
      const list = async (...filters: string[]): Promise<string[]> =>
        (await collect(client.snapshots.List({ snapshotter, filters })))
          .flatMap(({ info }) => info.map(({ name }) => name))
          .sort();
      assert.deepEqual(await list(), ['one', 'two-base']);
      assert.deepEqual(await list('kind==committed'), ['two-base']);
      assert.deepEqual(await list('name==one'), ['one']);
      assert.deepEqual(await list('labels.color==red'), ['two-base']);
    });

    it('updates labels', async () => {
      await prepare('labels');
      const update = async (labels: Record<string, string>, ...paths: string[]): Promise<Record<string, string>> =>
        present(
          (await t.client.snapshots.Update({ snapshotter, info: { name: 'labels', labels }, update_mask: { paths } }))
            .info,
        ).labels;
      assert.deepEqual(await update({ 'a.b': '1' }, 'labels.a.b'), { ...KEEP, 'a.b': '1' });
      assert.deepEqual(await update({ ...KEEP, c: '2' }, 'labels'), { ...KEEP, c: '2' });
      await fails(update({}, 'parent'), 'invalid argument');
    });

    it('keeps namespaces apart', async () => {
      const other = t.inNewNamespace();
      await prepare('same');
      await fails(other.snapshots.Stat({ snapshotter, key: 'same' }), 'not found');
      await prepare('same', '', other);
    });

    it('sweeps on request', async function () {
      davitOnly(this, t.target, 'no snapshotter of 1.6 implements Cleanup');
      await t.client.snapshots.Cleanup({ snapshotter });
    });
  });
}

describe('snapshots: any', () => {
  const t = useDaemon();

  it('refuses an unknown snapshotter, and none', async () => {
    await fails(
      t.client.snapshots.Prepare({ snapshotter: 'nothing', key: 'k' }),
      'invalid argument',
      /snapshotter not loaded: nothing/,
    );
    await fails(t.client.snapshots.List({ snapshotter: '' }), 'invalid argument', /snapshotter/);
  });
});
