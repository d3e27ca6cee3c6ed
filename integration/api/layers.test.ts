// Diff over the socket: layers onto snapshots, and snapshots into layers.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import {
  chmod,
  chown,
  link,
  lstat,
  mkdir,
  readFile,
  readdir,
  readlink,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises';
import path from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Client } from '../../client/connect.ts';
import { ClientError } from '../../client/errors.ts';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import { withMounts } from '../../services/snapshots/testing/mounting.ts';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { getBlob, putBlob } from '../harness/store.ts';
import { tar, type TarEntry } from '../harness/tar.ts';

const OCI = 'application/vnd.oci.image.layer.v1.tar';
const DOCKER = 'application/vnd.docker.image.rootfs.diff.tar';
const snapshotter = 'overlayfs';

const zstd = (bytes: Buffer): Buffer => execFileSync('zstd', ['-q', '-c'], { input: bytes });
const unzstd = (bytes: Buffer): Buffer => execFileSync('zstd', ['-q', '-d', '-c'], { input: bytes });
const listing = (archive: Buffer): string[] =>
  execFileSync('tar', ['-tf', '-'], { input: archive, encoding: 'utf8' }).split('\n').filter(Boolean);
const detailed = (archive: Buffer): string =>
  execFileSync('tar', ['-tvf', '-', '--numeric-owner', '--full-time'], {
    input: archive,
    encoding: 'utf8',
    env: { TZ: 'UTC' },
  });

describe('layers', () => {
  const fixture = useDaemon();
  let client: Client;
  let keys = 0;

  before(async () => {
    const { lease } = await fixture.client.leases.Create({ id: 'diff-suite' });
    client = fixture.client.with({ namespace: fixture.client.namespace, lease: present(lease).id });
  });

  const newKey = (): string => `key-${++keys}`;

  async function apply(mounts: readonly Mount[], media_type: string, bytes: Buffer, size = bytes.length) {
    const digest = await putBlob(client, bytes);
    const request = { diff: { media_type, digest, size: String(size) }, mounts: [...mounts] };
    return present((await client.diff.Apply(request)).applied);
  }

  /** Unpacks a layer over a parent and commits it. */
  async function layer(entries: readonly TarEntry[], parent = ''): Promise<string> {
    const key = newKey();
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key, parent });
    await apply(mounts, OCI, tar(entries));
    await client.snapshots.Commit({ snapshotter, key, name: `${key}-done` });
    return `${key}-done`;
  }

  async function inside<T>(parent: string, work: (root: string) => Promise<T>): Promise<T> {
    const { mounts } = await client.snapshots.View({ snapshotter, key: newKey(), parent });
    return withMounts(mounts, work);
  }

  /** What `change` does on top of `parent`, as a layer. */
  async function diffOf(parent: string, change: (root: string) => Promise<void>, options: object = {}) {
    const left = await client.snapshots.View({ snapshotter, key: newKey(), parent });
    const right = await client.snapshots.Prepare({ snapshotter, key: newKey(), parent });
    await withMounts(right.mounts, change);
    const { diff } = await client.diff.Diff({ left: left.mounts, right: right.mounts, ...options });
    return present(diff);
  }

  const base: TarEntry[] = [
    { name: 'folder', type: 'directory', mode: 0o750 },
    { name: 'folder/file', content: 'content', mode: 0o4711, uid: 12, gid: 34 },
    { name: 'folder/same', type: 'hardlink', target: 'folder/file', mode: 0o4711, uid: 12, gid: 34 },
    { name: 'link', type: 'symlink', target: 'folder/file' },
    { name: 'removed', content: 'x' },
    { name: 'opaque', type: 'directory' },
    { name: 'opaque/old', content: 'x' },
    { name: 'null', type: 'char', device: [1, 3], mode: 0o666 },
    { name: 'attributes', content: 'x', xattrs: { 'user.note': 'hello' } },
  ];

  it('applies layers however they are compressed', async () => {
    const archive = tar(base);
    for (const [type, bytes] of [
      [OCI, archive],
      [`${OCI}+gzip`, gzipSync(archive)],
      [`${OCI}+zstd`, zstd(archive)],
      [DOCKER, archive],
      [DOCKER, gzipSync(archive)],
      [`${DOCKER}.gzip`, gzipSync(archive)],
      [`${OCI}+gzip`, Buffer.concat([gzipSync(archive.subarray(0, 1000)), gzipSync(archive.subarray(1000))])],
    ] as const) {
      const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey() });
      const applied = await apply(mounts, type, bytes);
      assert.deepEqual(
        { media_type: applied.media_type, digest: applied.digest, size: applied.size },
        { media_type: OCI, digest: sha256(archive), size: String(archive.length) },
        type,
      );
      await withMounts(mounts, async (root) => {
        assert.equal(await readFile(path.join(root, 'link'), 'utf8'), 'content');
      });
    }
  });

  it('restores files as the archive has them', async () => {
    await inside(await layer(base), async (root) => {
      const at = (name: string): string => path.join(root, name);
      const file = await lstat(at('folder/file'));
      assert.deepEqual([file.mode & 0o7777, file.uid, file.gid, file.mtimeMs], [0o4711, 12, 34, 1_700_000_000_000]);
      assert.equal((await lstat(at('folder/same'))).ino, file.ino);
      assert.equal((await lstat(at('folder'))).mode & 0o7777, 0o750);
      assert.equal((await lstat(at('folder'))).mtimeMs, 1_700_000_000_000);
      assert.equal(await readlink(at('link')), 'folder/file');
      assert((await lstat(at('null'))).isCharacterDevice());
      const attribute = execFileSync('python3', [
        '-c',
        `import os; print(os.getxattr(${JSON.stringify(at('attributes'))}, 'user.note').decode())`,
      ]);
      assert.equal(attribute.toString().trim(), 'hello');
    });
  });

  it('hides what whiteouts hide, and keeps what a layer does not mention', async () => {
    const parent = await layer(base);
    const child = await layer(
      [
        { name: '.wh.removed' },
        { name: 'opaque', type: 'directory' },
        { name: 'opaque/.wh..wh..opq' },
        { name: 'opaque/new', content: 'new' },
        { name: 'folder/added', content: 'added' },
      ],
      parent,
    );
    await inside(child, async (root) => {
      assert.deepEqual((await readdir(root)).sort(), ['attributes', 'folder', 'link', 'null', 'opaque']);
      assert.deepEqual(await readdir(path.join(root, 'opaque')), ['new']);
      assert.deepEqual((await readdir(path.join(root, 'folder'))).sort(), ['added', 'file', 'same']);
      assert.equal(
        (await lstat(path.join(root, 'folder'))).mode & 0o7777,
        0o750,
        'of the folder that is only passed through',
      );
    });
    await inside(parent, async (root) => {
      assert((await readdir(root)).includes('removed'));
    });
  });

  it('keeps whiteouts of layers that get their parent at commit', async function () {
    if (fixture.target !== 'davit') this.skip();
    const parent = await layer(base);
    const key = newKey();
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key });
    const source = present(mounts[0]).source;
    const upper = [{ type: 'overlay', source: 'overlay', target: '', options: ['rw', `upperdir=${source}`] }];
    await apply(
      upper,
      OCI,
      tar([{ name: '.wh.removed' }, { name: 'opaque', type: 'directory' }, { name: 'opaque/.wh..wh..opq' }]),
    );
    await client.snapshots.Commit({ snapshotter, key, name: `${key}-done`, parent });
    await inside(`${key}-done`, async (root) => {
      assert.deepEqual((await readdir(root)).sort(), ['attributes', 'folder', 'link', 'null', 'opaque']);
      assert.deepEqual(await readdir(path.join(root, 'opaque')), []);
    });
  });

  it('stays in the tree', async () => {
    const outside = path.join(fixture.daemon.directory, 'outside');
    await mkdir(outside);
    const attempts: TarEntry[][] = [
      [{ name: '../../../../../../../../escaped', content: 'x' }],
      [
        { name: 'way', type: 'symlink', target: outside },
        { name: 'way/escaped', content: 'x' },
      ],
      [{ name: 'way', type: 'symlink', target: outside }, { name: 'way/.wh..wh..opq' }],
      [{ name: 'hard', type: 'hardlink', target: path.join(outside, 'target') }],
    ];
    await writeFile(path.join(outside, 'target'), 'untouched');
    for (const attempt of attempts) {
      const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey() });
      await apply(mounts, OCI, tar(attempt)).catch((error: unknown) => assert(error instanceof ClientError));
      assert.deepEqual(await readdir(outside), ['target']);
      assert.equal((await lstat(path.join(outside, 'target'))).nlink, 1);
      await assert.rejects(lstat('/escaped'), { code: 'ENOENT' });
    }
  });

  it('refuses what it cannot apply', async () => {
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey() });
    const archive = tar(base);
    const davit = fixture.target === 'davit';
    const unknown = davit ? 'not implemented' : 'unknown';
    await fails(
      apply(mounts, 'text/plain', archive),
      unknown,
      /failed to get stream processor for text\/plain: no processor/,
    );
    const missing = { media_type: OCI, digest: `sha256:${'0'.repeat(64)}`, size: '1' };
    await fails(
      client.diff.Apply({ diff: missing, mounts }),
      'not found',
      /failed to get reader from content store: .*not found/,
    );
    await assert.rejects(apply(mounts, `${OCI}+gzip`, gzipSync(archive).subarray(0, 200)), ClientError);
    await assert.rejects(apply(mounts, OCI, archive.subarray(0, 1000)), ClientError);
    if (davit) await fails(apply(mounts, OCI, archive, 5), 'failed precondition', /the descriptor says 5/);
  });

  it('applies to a tree that has to be mounted', async () => {
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey(), parent: await layer(base) });
    const special = mounts.map((mount) => ({ ...mount, options: [...mount.options, 'redirect_dir=off'] }));
    await apply(special, OCI, tar([{ name: '.wh.removed' }, { name: 'added', content: 'x' }]));
    await withMounts(mounts, async (root) => {
      const names = await readdir(root);
      assert(names.includes('added') && !names.includes('removed'));
    });
    await assert.rejects(
      apply([{ type: 'nosuchfs', source: 'x', target: '', options: [] }], OCI, tar(base)),
      ClientError,
    );
    const mounted = await readFile('/proc/self/mountinfo', 'utf8');
    assert(!mounted.includes(`${fixture.daemon.state}/mounts`));
  });

  it('computes a layer that says what changed', async () => {
    const diff = await diffOf(await layer(base), async (root) => {
      const at = (name: string): string => path.join(root, name);
      await rm(at('removed'));
      await rm(at('opaque'), { recursive: true });
      await mkdir(at('opaque'));
      await writeFile(at('opaque/new'), 'new');
      await chmod(at('folder/file'), 0o600);
      await mkdir(at('made/deep'), { recursive: true });
      await writeFile(at('made/deep/file'), 'x');
      await link(at('made/deep/file'), at('made/same'));
      await chown(at('made'), 5, 6);
      await symlink('elsewhere', at('made/link'));
    });
    assert.equal(diff.media_type, `${OCI}+gzip`);
    const blob = await getBlob(client, diff.digest);
    assert.equal(sha256(blob), diff.digest);
    assert.equal(String(blob.length), diff.size);
    const archive = gunzipSync(blob);
    const { info } = await client.content.Info({ digest: diff.digest });
    assert.equal(present(info).labels['containerd.io/uncompressed'], sha256(archive));
    const names = listing(archive);
    for (const name of [
      '.wh.removed',
      'made/',
      'made/deep/',
      'made/deep/file',
      'made/same',
      'made/link',
      'opaque/new',
    ]) {
      assert(names.includes(name), `${name} in ${names.join(' ')}`);
    }
    for (const name of ['link', 'null', 'attributes', 'removed']) assert(!names.includes(name), name);
    assert(detailed(archive).includes('made/link -> elsewhere'));
    assert.match(detailed(archive), /hrw-r--r-- .* made\/same link to made\/deep\/file/);

    // The layer makes of the parent what the change made of it.
    await inside(await layer(base), async () => undefined);
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey(), parent: await layer(base) });
    await client.diff.Apply({ diff, mounts });
    await withMounts(mounts, async (root) => {
      const at = (name: string): string => path.join(root, name);
      assert.deepEqual(await readdir(at('opaque')), ['new']);
      assert.equal((await lstat(at('folder/file'))).mode & 0o7777, 0o600);
      assert.equal((await lstat(at('made/same'))).ino, (await lstat(at('made/deep/file'))).ino);
      assert.deepEqual([(await lstat(at('made'))).uid, (await lstat(at('made'))).gid], [5, 6]);
      await assert.rejects(lstat(at('removed')), { code: 'ENOENT' });
    });
  });

  it('writes the media type, ref and labels that are asked for', async () => {
    const change = (root: string): Promise<void> => writeFile(path.join(root, 'file'), 'x');
    const parent = await layer(base);
    const plain = await diffOf(parent, change, { media_type: OCI, labels: { color: 'red' }, ref: 'my-ref' });
    const archive = await getBlob(client, plain.digest);
    assert.deepEqual([plain.media_type, listing(archive).includes('file')], [OCI, true]);
    const labels = present((await client.content.Info({ digest: plain.digest })).info).labels;
    assert.equal(labels['color'], 'red');
    await fails(client.content.Status({ ref: 'my-ref' }), 'not found');
    await fails(
      diffOf(parent, change, { media_type: 'text/plain' }),
      'not implemented',
      /unsupported diff media type: text\/plain/,
    );
    if (fixture.target === 'davit') {
      const packed = await diffOf(parent, change, { media_type: `${OCI}+zstd` });
      assert(listing(unzstd(await getBlob(client, packed.digest))).includes('file'));
    }
  });

  it('keeps times to what is asked for', async function () {
    if (fixture.target !== 'davit') this.skip();
    const epoch = { source_date_epoch: { seconds: '1000000000', nanos: 0 }, media_type: OCI };
    const change = async (root: string): Promise<void> => {
      await writeFile(path.join(root, 'file'), 'x');
      await rm(path.join(root, 'removed'));
    };
    const parent = await layer(base);
    const first = await diffOf(parent, change, epoch);
    const times = detailed(await getBlob(client, first.digest)).match(/2\d\d\d-\d\d-\d\d/g);
    assert.deepEqual([...new Set(times)], ['2001-09-09']);
    const second = await diffOf(parent, change, epoch);
    assert.equal(second.digest, first.digest);
  });

  it('compares trees without a parent, and with nothing', async () => {
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: newKey() });
    await withMounts(mounts, (root) => writeFile(path.join(root, 'file'), 'x'));
    const { diff } = await client.diff.Diff({ left: [], right: mounts, media_type: OCI });
    assert(listing(await getBlob(client, present(diff).digest)).includes('file'));
  });
});
