import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { Failure } from '../lib/errors.ts';
import type { Info, Snapshotter } from '../snapshots/api.ts';
import { rootfsOf } from './rootfs.ts';

const OVERLAY = [{ type: 'overlay', source: 'overlay', target: '', options: ['lowerdir=/a'] }];
const BIND = [{ type: 'bind', source: '/a', target: '', options: ['rbind'] }];
const BOTH = {
  'containerd.io/snapshot/uidmapping': '0:1000:10',
  'containerd.io/snapshot/gidmapping': '0:2000:10',
};
const CONTAINER = { snapshotter: 'overlayfs', snapshotKey: 'key' };

function snapshotsWith(labels: Record<string, string>, capabilities = ['remap-ids']) {
  const stat = (_namespace: string, key: string): Info => {
    if (key !== 'key') throw new Failure('not found', `snapshot ${key}: not found`);
    return { labels: new Map(Object.entries(labels)) } as unknown as Info;
  };
  return { names: ['overlayfs'], get: () => ({ capabilities, stat }) as unknown as Snapshotter };
}

describe('the root file system of a task', () => {
  it('is shown with the ids that its snapshot is labelled with', () => {
    const [mount] = rootfsOf(OVERLAY, snapshotsWith(BOTH), 'ns', CONTAINER);
    assert.deepEqual(mount?.options, ['lowerdir=/a', 'uidmap=0:1000:10', 'gidmap=0:2000:10']);
  });

  it('is otherwise what the client says', () => {
    const same = (...[rootfs, snapshots, container]: [object[], ReturnType<typeof snapshotsWith>, typeof CONTAINER]) =>
      assert.equal(rootfsOf(rootfs, snapshots, 'ns', container), rootfs);
    same(OVERLAY, snapshotsWith({}), CONTAINER);
    same(OVERLAY, snapshotsWith(BOTH, []), CONTAINER);
    same(OVERLAY, snapshotsWith(BOTH), { ...CONTAINER, snapshotKey: 'other' });
    same(OVERLAY, snapshotsWith(BOTH), { ...CONTAINER, snapshotter: 'native' });
    same(BIND, snapshotsWith(BOTH), CONTAINER);
  });
});
