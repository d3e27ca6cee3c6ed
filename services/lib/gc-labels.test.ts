import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { expiry, gcLabels, isFlat } from './gc-labels.ts';

const labels = (entries: Record<string, string>) =>
  new Map(Object.entries(entries).map(([key, value]) => [`containerd.io/gc.${key}`, value]));

describe('labels of garbage collection', () => {
  for (const [label, value, expected] of [
    ['ref.content', 'sha256:a', { type: 'content', key: 'sha256:a' }],
    ['ref.content.config', 'sha256:a', { type: 'content', key: 'sha256:a' }],
    ['ref.content/x/y', 'sha256:a', { type: 'content', key: 'sha256:a' }],
    ['ref.image.base', 'img', { type: 'images', key: 'img' }],
    ['ref.mount.root', 'm', { type: 'mounts', key: 'm' }],
    ['ref.snapshot.overlayfs', 'k', { type: 'snapshots', key: 'overlayfs/k' }],
    ['ref.snapshot.overlayfs/name', 'a/b', { type: 'snapshots', key: 'overlayfs/a/b' }],
  ] as const) {
    it(`${label} refers to ${expected.type} ${expected.key}`, () => {
      assert.deepEqual(gcLabels(labels({ [label]: value })).references, [expected]);
      const back = label.replace('ref.', 'bref.');
      assert.deepEqual(gcLabels(labels({ [back]: value })).backReferences, [expected]);
    });
  }

  for (const label of ['ref.contents', 'ref.snapshot', 'ref.lease', 'ref.constructor', 'ref.', 'refcontent']) {
    it(`${label} refers to nothing`, () => assert.deepEqual(gcLabels(labels({ [label]: 'x' })).references, []));
  }

  it('root, flat and expire', () => {
    assert.equal(gcLabels(labels({ root: '2020' })).root, true);
    assert.equal(gcLabels(new Map([['containerd.io/gc', 'x']])).root, false);
    assert.equal(isFlat(labels({ flat: 'x' })), true);
    assert.equal(expiry(labels({ expire: '2020-01-01T00:00:00Z' })), 1577836800000);
    assert.equal(expiry(labels({ expire: '2020-01-01T02:00:00.5+02:00' })), 1577836800500);
    assert.equal(expiry(labels({ expire: 'tomorrow' })), Infinity);
    assert.equal(expiry(new Map()), Infinity);
  });

  it('conditions on the last use of a snapshot', () => {
    const [condition] = gcLabels(labels({ 'cond.snapshot.overlayfs/x': 'usedat<24h|key/1' })).conditionals;
    assert.deepEqual([condition?.type, condition?.key], ['snapshots', 'overlayfs/key/1']);
    const hour = 3_600_000;
    assert.equal(condition?.holds(0, 23 * hour), true);
    assert.equal(condition?.holds(0, 25 * hour), false);
    const older = gcLabels(labels({ 'cond.snapshot.native': 'usedat>1h,usedat<=2h,size<3|k' })).conditionals;
    assert.equal(older.length, 1);
    assert.equal(older[0]?.holds(0, 2 * hour), true);
    assert.deepEqual(gcLabels(labels({ 'cond.value-usedat': '1970-01-01T00:00:01Z' })).used, [1000]);
    assert.deepEqual(gcLabels(labels({ 'cond.snapshot.native': 'usedat<24h' })).conditionals, []);
  });
});
