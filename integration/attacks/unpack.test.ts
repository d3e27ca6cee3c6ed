// Layers that want out of their folder, and folders that change under a layer. And who may look at
// what was unpacked.
import { strict as assert } from 'node:assert';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { startContainer } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { ROOTED } from '../harness/load.ts';
import { davitOnly } from '../harness/only.ts';
import { putBlob, putImage } from '../harness/store.ts';
import { tar, type TarEntry } from '../harness/tar.ts';
import { createCanary, evilImage, PROBE, type Canary } from './attacker.ts';
import { kill } from './running.ts';

const snapshotter = 'overlayfs';
const NOBODY = 65_534;
const ENTRIES = 500;
const LAYERS_RACED = 6;

const link = (name: string, target: string): TarEntry => ({ name, type: 'symlink', target });
const up = (to: string): string => `${'../'.repeat(12)}${to.slice(1)}`;

/** Each tries to change `secret`, or to make something in `outside`. */
const LAYERS: Readonly<Record<string, (canary: Canary) => readonly TarEntry[]>> = {
  'CVE-2021-32760: a file through a link': ({ outside }) => [link('l', outside), { name: 'l/made', content: 'x' }],
  'a file through a link that climbs': ({ outside }) => [link('l', up(outside)), { name: 'l/made', content: 'x' }],
  'CVE-2021-32760: a mode and an owner through a link': ({ secret }) => [
    link('l', secret),
    { name: 'l', content: 'over it', mode: 0o777, uid: 1, gid: 1 },
  ],
  'a mode through a hard link to a link': ({ secret }) => [
    link('l', secret),
    { name: 'h', type: 'hardlink', target: 'l', mode: 0o6777, uid: 1 },
    { name: 'h', content: 'over it', mode: 0o777 },
  ],
  'a hard link to a file of the host': ({ secret }) => [
    { name: 'a', type: 'hardlink', target: secret },
    { name: 'b', type: 'hardlink', target: up(secret) },
  ],
  'a hard link through a link': ({ directory }) => [
    link('l', directory),
    { name: 'h', type: 'hardlink', target: 'l/secret' },
  ],
  'a folder in the place of a link': ({ outside }) => [
    link('l', outside),
    { name: 'l', type: 'directory', mode: 0o777, uid: 1 },
    { name: 'l/made', content: 'x' },
  ],
  'names with ..': ({ outside, secret }) => [
    { name: up(secret), content: 'over it' },
    { name: `a/../${up(outside)}/made`, content: 'x' },
    { name: secret, content: 'over it' },
  ],
  'whiteouts through a link': ({ directory }) => [
    link('l', directory),
    { name: 'l/.wh.secret' },
    { name: 'l/.wh..wh..opq' },
    { name: `${up(directory)}/.wh.secret` },
    { name: '.wh...' },
    { name: '.wh..' },
  ],
  'devices and FIFOs through a link': ({ outside }) => [
    link('l', outside),
    { name: 'l/null', type: 'char', device: [1, 3] },
    { name: 'l/fifo', type: 'fifo' },
  ],
  'attributes through a link': ({ secret }) => [
    link('l', secret),
    { name: 'l', type: 'symlink', target: secret, xattrs: { 'user.evil': 'x', 'trusted.overlay.redirect': '/' } },
  ],
};

describe('attacks: layers and folders', function () {
  this.timeout(60_000);
  const t = useDaemon();
  let canary: Canary;
  let count = 0;

  beforeEach(() => (canary = createCanary()));
  afterEach(() => canary.remove());

  async function prepare(): Promise<{
    key: string;
    mounts: Awaited<ReturnType<typeof t.client.snapshots.Prepare>>['mounts'];
  }> {
    const key = `unpack-${(count += 1)}`;
    return { key, mounts: (await t.client.snapshots.Prepare({ snapshotter, key, labels: ROOTED })).mounts };
  }

  async function put(entries: readonly TarEntry[]): Promise<{ media_type: string; digest: string; size: string }> {
    const bytes = gzipSync(tar(entries), { level: 1 });
    const media_type = 'application/vnd.oci.image.layer.v1.tar+gzip';
    return { media_type, digest: await putBlob(t.client, bytes), size: String(bytes.length) };
  }

  for (const [what, entries] of Object.entries(LAYERS)) {
    it(what, async () => {
      const { key, mounts } = await prepare();
      // Whether it is refused or clamped to the root: the host stays as it was.
      await t.client.diff.Apply({ diff: await put(entries(canary)), mounts }).catch(() => undefined);
      canary.check();
      await t.client.snapshots.Remove({ snapshotter, key });
    });
  }

  it('CVE-2025-47290: a folder becomes a link while a layer is unpacked into it', async function () {
    davitOnly(this, t.target, 'containerd 1.6 writes to the host');
    const { key, mounts } = await prepare();
    const root = mounts[0]?.source ?? '';
    // Away and back, so that the folder is looked up anew for every file.
    const files = Array.from({ length: ENTRIES }, (_, at): TarEntry[] => [
      { name: `d/f${at}`, content: 'x', mode: 0o777 },
      { name: `other/f${at}`, content: 'x' },
    ]).flat();
    const layers = await Promise.all(
      Array.from({ length: LAYERS_RACED }, (_, at) => put([...files, { name: `n${at}`, content: 'x' }])),
    );
    mkdirSync(path.join(root, 'd'));
    symlinkSync(canary.outside, path.join(root, 'link'));
    const racer = spawn(PROBE, ['swap', path.join(root, 'd'), path.join(root, 'link')], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    try {
      await once(racer.stdout, 'data');
      for (const diff of layers) await t.client.diff.Apply({ diff, mounts }).catch(() => undefined);
      assert.equal(racer.exitCode, null, 'nobody exchanged anything');
    } finally {
      racer.kill('SIGKILL');
    }
    canary.check();
    await t.client.snapshots.Remove({ snapshotter, key });
  });

  it('CVE-2021-41091, CVE-2021-41103, CVE-2024-25621: what others see of the daemon’s folders', async function () {
    davitOnly(this, t.target, 'containerd 1.6 has other modes below its root');
    const image = evilImage('modes', [{ name: 'setuid', content: '#!/bin/sh\n', mode: 0o4755 }]);
    await putImage(t.client, image);
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    try {
      const as = (uid: number, script: string): string =>
        spawnSync('sh', ['-c', script], { uid, gid: uid, encoding: 'utf8' }).stdout;
      const { root, state } = t.daemon;
      assert.equal(as(NOBODY, `cd ${root} && ls -A . * 2>/dev/null`), '');
      assert.equal(as(NOBODY, `ls -A ${state} ${state}/tasks ${state}/s ${state}/*/*/* 2>/dev/null`), '');
      const inside = as(0, `find ${root} ${state} -name setuid -o -name config.json`).trim().split('\n');
      assert.ok(inside.length >= 2, 'there was nothing to reach');
      for (const file of inside)
        assert.equal(as(NOBODY, `stat ${file} 2>/dev/null; head -c 1 ${file} 2>/dev/null`), '');
    } finally {
      await kill(t.client, id);
    }
  });
});
