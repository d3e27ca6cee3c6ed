import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { gunzipSync } from 'node:zlib';
import { describe, it } from 'mocha';
import type { Descriptor } from '../../proto/gen/containerd.types.ts';
import { run } from '../harness/container.ts';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import {
  busyboxEntries,
  LAYERED_CHECK,
  layeredImage,
  makeImage,
  makeLayer,
  sha256,
  type TestImage,
} from '../harness/image.ts';
import { getBlob, putBlob, putImage } from '../harness/store.ts';
import { tar, type TarEntry } from '../harness/tar.ts';

const SNAPSHOTTER = 'overlayfs';
const KEEP = { 'containerd.io/gc.root': 'now' };
const MEDIA = 'application/vnd.oci.image.layer.v1.tar';

describe('diff', () => {
  const t = useDaemon();

  const prepare = async (key: string, parent = '') =>
    (await t.client.snapshots.Prepare({ snapshotter: SNAPSHOTTER, key, parent, labels: KEEP })).mounts;

  async function put(bytes: Buffer, media_type: string): Promise<Descriptor> {
    const digest = await putBlob(t.client, bytes, KEEP);
    return { media_type, digest, size: String(bytes.length), annotations: {} };
  }

  /** Applies an archive to a new snapshot and gives what came out of it. */
  async function apply(key: string, entries: readonly TarEntry[]): Promise<Descriptor> {
    const { applied } = await t.client.diff.Apply({ diff: await put(tar(entries), MEDIA), mounts: await prepare(key) });
    return present(applied);
  }

  it('applies layers with everything that they hold', async () => {
    const image = layeredImage();
    await putImage(t.client, image);
    const { stdout, stderr, status } = await run(t.client, image, ['sh', '-c', LAYERED_CHECK]);
    assert.deepEqual([stdout.trim(), stderr, status], ['ok', '', 0]);
  });

  it('gives the digest and size of the uncompressed archive', async () => {
    const archive = tar([{ name: 'file', content: 'x' }]);
    const compressed = makeLayer([{ name: 'file', content: 'x' }]);
    const diff = await put(compressed.bytes, `${MEDIA}+gzip`);
    const { applied } = await t.client.diff.Apply({ diff, mounts: await prepare('gzip') });
    assert.equal(applied?.digest, sha256(archive));
    assert.equal(applied?.size, String(archive.length));
    assert.equal(applied?.media_type, MEDIA);
  });

  it('applies zstd', async () => {
    const archive = tar([{ name: 'file', content: 'squeezed' }]);
    const compressed = execFileSync('zstd', ['-q', '-c'], { input: archive });
    const { applied } = await t.client.diff.Apply({
      diff: await put(compressed, `${MEDIA}+zstd`),
      mounts: await prepare('zstd'),
    });
    assert.equal(applied?.digest, sha256(archive));
  });

  it('keeps extended attributes', async () => {
    await putImage(
      t.client,
      makeImage('attributes', [makeLayer([...busyboxEntries(), { name: 'with', xattrs: { 'user.test': 'value' } }])]),
    );
    await apply('xattr', [{ name: 'with', content: 'x', xattrs: { 'user.test': 'value' } }]);
    const usage = await t.client.snapshots.Usage({ snapshotter: SNAPSHOTTER, key: 'xattr' });
    assert.ok(Number(usage.inodes) >= 2);
  });

  it('never leaves the root', async () => {
    const marker = `/tmp/davit-escape-${process.pid}`;
    const attacks: readonly (readonly TarEntry[])[] = [
      [{ name: `../../../../../../../../..${marker}`, content: 'escaped' }],
      [{ name: marker, content: 'inside' }],
      [
        { name: 'tmp', type: 'symlink', target: '/tmp' },
        { name: `tmp/davit-escape-${process.pid}`, content: 'escaped' },
      ],
      [
        { name: 'up', type: 'symlink', target: '../../../../../../../../../../tmp' },
        { name: `up/davit-escape-${process.pid}`, content: 'escaped' },
      ],
      [{ name: 'hard', type: 'hardlink', target: '../../../../../../../../../../etc/passwd' }],
      [{ name: `.wh...`, content: '' }],
    ];
    for (const [index, entries] of attacks.entries()) {
      await apply(`attack-${index}`, entries).catch(() => undefined);
      assert.throws(() => execFileSync('test', ['-e', marker]), `attack ${index} wrote ${marker}`);
    }
    await t.client.version.Version({});
  });

  it('refuses broken archives, and what it cannot read', async () => {
    const layer = makeLayer([{ name: 'file', content: Buffer.alloc(100_000, 7) }]);
    const cut = layer.bytes.subarray(0, layer.bytes.length - 20);
    await assert.rejects(t.client.diff.Apply({ diff: await put(cut, `${MEDIA}+gzip`), mounts: await prepare('cut') }));
    const noise = Buffer.from('this is no archive at all'.repeat(100));
    await assert.rejects(
      t.client.diff.Apply({ diff: await put(noise, `${MEDIA}+gzip`), mounts: await prepare('noise') }),
    );
    const diff = { media_type: MEDIA, digest: sha256(Buffer.from('unknown')), size: '7' };
    await fails(t.client.diff.Apply({ diff, mounts: await prepare('unknown') }), 'not found');
    const text = t.client.diff.Apply({ diff: await put(noise, 'text/plain'), mounts: await prepare('text') });
    await assert.rejects(text, /text\/plain|not implemented/);
  });

  async function changed(): Promise<{ left: TestImage; key: string }> {
    const left = makeImage('docker.io/test/diffed:1', [
      makeLayer([
        ...busyboxEntries(),
        { name: 'kept', content: 'kept' },
        { name: 'removed', content: 'removed' },
        { name: 'changed', content: 'old' },
      ]),
    ]);
    await putImage(t.client, left);
    return { left, key: left.layers[0]?.diffId ?? '' };
  }

  for (const [media_type, unpack] of [
    [MEDIA, (bytes: Buffer) => bytes],
    [`${MEDIA}+gzip`, (bytes: Buffer) => gunzipSync(bytes)],
  ] as const) {
    it(`computes what changed, as ${media_type}`, async () => {
      const { key } = await changed();
      const name = `right-${media_type.length}`;
      const right = await prepare(name, key);
      const { mounts: left } = await t.client.snapshots.View({
        snapshotter: SNAPSHOTTER,
        key: `left-${name}`,
        parent: key,
        labels: KEEP,
      });
      const layer = tar([
        { name: '.wh.removed' },
        { name: 'changed', content: 'new!' },
        { name: 'folder', type: 'directory' },
        { name: 'folder/added', content: 'added' },
        { name: 'folder/link', type: 'symlink', target: '../kept' },
      ]);
      await t.client.diff.Apply({ diff: await put(layer, MEDIA), mounts: right });
      const { diff } = await t.client.diff.Diff({
        left,
        right,
        media_type,
        ref: `diff-${name}`,
        labels: { ...KEEP, made: 'here' },
      });
      assert.equal(diff?.media_type, media_type);
      const bytes = await getBlob(t.client, present(diff).digest);
      assert.equal(String(bytes.length), diff?.size);
      const listing = execFileSync('tar', ['-tf', '-'], { input: unpack(bytes), encoding: 'utf8' })
        .trim()
        .split('\n')
        .sort();
      assert.deepEqual(listing, ['.wh.removed', 'changed', 'folder/', 'folder/added', 'folder/link']);
      const { info } = await t.client.content.Info({ digest: present(diff).digest });
      assert.equal(info?.labels['made'], 'here');
      if (media_type !== MEDIA) assert.equal(info?.labels['containerd.io/uncompressed'], sha256(unpack(bytes)));
    });
  }

  it('refuses a media type that it cannot write', async () => {
    await fails(
      t.client.diff.Diff({ left: [], right: await prepare('unwritten'), media_type: 'text/plain' }),
      'not implemented',
    );
  });
});
