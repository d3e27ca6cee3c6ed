import assert from 'node:assert/strict';
import type { Mount } from '../lib/mount.ts';
import { changesPlace, readablePlace, readOnly, writablePlace } from './place.ts';

const bind = (...options: string[]): Mount => ({ type: 'bind', source: '/tree', target: '', options });
const overlay = (...options: string[]): Mount => ({ type: 'overlay', source: 'overlay', target: '', options });

describe('place', () => {
  it('writes into the source of a bind mount unless it is read-only', () => {
    assert.deepEqual(writablePlace([bind('rw', 'rbind')]), { folder: '/tree', overlay: undefined });
    assert.equal(writablePlace([bind('ro', 'rbind')]), undefined);
    assert.equal(writablePlace([bind('rbind', 'uidmap=0:1000:1')]), undefined);
  });

  it("writes into an overlay's upper layer when nothing about it is special", () => {
    const options = ['workdir=/w', 'upperdir=/u', 'lowerdir=/b:/a', 'index=off'];
    assert.deepEqual(writablePlace([overlay(...options)]), {
      folder: '/u',
      overlay: { lower: ['/b', '/a'], userXattr: false },
    });
    for (const special of ['metacopy=on', 'ro', 'redirect_dir=on', 'volatile']) {
      assert.equal(writablePlace([overlay(...options, special)]), undefined, special);
    }
    assert.equal(writablePlace([overlay('lowerdir=/b:/a')]), undefined);
    assert.deepEqual(writablePlace([overlay('upperdir=/u', 'userxattr')])?.overlay, { lower: [], userXattr: true });
    assert.equal(writablePlace([overlay('upperdir=/u', 'lowerdir=/with\\:colon')]), undefined);
  });

  it('leaves anything else to mounting', () => {
    assert.equal(writablePlace([]), undefined);
    assert.equal(writablePlace([bind('rw'), bind('rw')]), undefined);
    assert.equal(writablePlace([{ ...bind('rw'), target: 'sub' }]), undefined);
    assert.equal(writablePlace([{ type: 'ext4', source: '/dev/sda', target: '', options: [] }]), undefined);
    assert.equal(readablePlace([overlay('lowerdir=/b:/a')]), undefined);
  });

  it('reads from the source of a bind mount', () => {
    assert.equal(readablePlace([bind('ro', 'rbind')]), '/tree');
    assert.equal(readablePlace([bind('rbind', 'uidmap=0:1000:1')]), undefined);
  });

  it('reads an upper layer alone when it is on top of exactly what it is compared with', () => {
    const right = [overlay('workdir=/w', 'upperdir=/u', 'lowerdir=/b:/a', 'index=off')];
    assert.equal(changesPlace([overlay('lowerdir=/b:/a', 'index=off')], right)?.folder, '/u');
    assert.equal(changesPlace([overlay('lowerdir=/a', 'index=off')], right), undefined);
    assert.equal(changesPlace([overlay('workdir=/w2', 'upperdir=/u2', 'lowerdir=/b:/a')], right), undefined);
    assert.equal(changesPlace([overlay('lowerdir=/b:/a', 'metacopy=on')], right), undefined);
    assert.equal(changesPlace([], right), undefined);
    assert.equal(changesPlace([bind('ro')], [overlay('upperdir=/u', 'workdir=/w', 'lowerdir=/tree')])?.folder, '/u');
    assert.equal(changesPlace([bind('ro')], [bind('rw')]), undefined);
  });

  it('makes mounts read-only without using an upper layer twice', () => {
    assert.deepEqual(readOnly([overlay('workdir=/w', 'upperdir=/u', 'lowerdir=/b:/a', 'index=off')])[0]?.options, [
      'index=off',
      'lowerdir=/u:/b:/a',
      'ro',
    ]);
    assert.deepEqual(readOnly([bind('rw', 'rbind')])[0]?.options, ['rbind', 'ro']);
  });
});
