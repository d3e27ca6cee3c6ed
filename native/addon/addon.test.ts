// The boundary itself: wrong and missing arguments, cancellation, several calls at once, the end of an
// environment. What the functions do with files is tested in C++ beside them.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import {
  applyLayer,
  copyTree,
  diffLayer,
  diskUsage,
  layerToErofs,
  listMounts,
  lookupMount,
  makeErofs,
  mountAll,
  probeOverlay,
  removeTree,
  runProgram,
  syncFileSystem,
  unmount,
  unmountAll,
  type ApplyLayerOptions,
  type DiffLayerOptions,
} from './index.ts';

const asRoot = process.getuid?.() === 0;
const face = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? './index.ts' : './index.js', import.meta.url));

describe('davit.node', () => {
  let folder = '';
  let layer = '';

  before(async () => {
    folder = await mkdtemp(path.join(os.tmpdir(), 'davit-addon-'));
    layer = path.join(folder, 'layer.tar.gz');
    await mkdir(path.join(folder, 'tree'));
    for (let i = 0; i < 200; i++) await writeFile(path.join(folder, 'tree', `f${i}`), `file ${i}`);
    execFileSync('tar', ['-C', path.join(folder, 'tree'), '-czf', layer, '.']);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const fresh = async (name: string): Promise<string> => {
    const made = path.join(folder, name);
    await mkdir(made);
    return made;
  };

  const applying = (root: string, more: Partial<ApplyLayerOptions> = {}): ApplyLayerOptions => ({
    blob: layer,
    offset: 0,
    length: null,
    compression: 'detect',
    root,
    lowers: null,
    userXattr: false,
    maxSize: null,
    maxEntries: null,
    sync: false,
    ...more,
  });

  const diffing = (right: string, file: string): DiffLayerOptions => ({
    left: null,
    right,
    overlay: false,
    userXattr: false,
    file,
    compression: 'gzip',
    ids: null,
    epoch: { seconds: 0n, nanos: 0 },
  });

  describe('arguments', () => {
    const refused = (options: object, problem: string): Promise<void> =>
      assert.rejects(applyLayer(options as ApplyLayerOptions), { name: 'TypeError', message: problem });

    it('must all be there', async () => {
      const { sync: _, ...incomplete } = applying('/nowhere');
      await refused(incomplete, 'applyLayer.args[0].sync: Missing property');
      await refused({ ...applying('/nowhere'), root: undefined }, 'applyLayer.args[0].root: Missing property');
    });

    it('are null only where that means something', () =>
      refused({ ...applying('/nowhere'), root: null }, 'applyLayer.args[0].root: Must not be null'));

    it('have the right types, down to the elements', async () => {
      const good = applying('/nowhere');
      await refused({ ...good, sync: 1 }, 'applyLayer.args[0].sync: Expected boolean');
      await refused({ ...good, root: 7 }, 'applyLayer.args[0].root: Expected string');
      await refused({ ...good, offset: 1.5 }, 'applyLayer.args[0].offset: Expected integer');
      await refused({ ...good, offset: 1n << 63n }, 'applyLayer.args[0].offset: Expected integer');
      await refused({ ...good, maxSize: '9' }, 'applyLayer.args[0].maxSize: Expected integer');
      await refused({ ...good, lowers: 'a' }, 'applyLayer.args[0].lowers: Expected array');
      await refused({ ...good, lowers: ['a', 2] }, 'applyLayer.args[0].lowers[1]: Expected string');
      await refused({ ...good, compression: 'lzma' }, 'applyLayer.args[0].compression: Unknown compression');
      await refused({ ...good, root: '/a\0b' }, 'applyLayer.args[0].root: Holds a zero byte');
      await assert.rejects(mountAll([{ type: 'tmpfs', source: 'x' } as never], '/nowhere'), {
        message: 'mountAll.args[0].mounts[0].options: Missing property',
      });
      await assert.rejects(diffLayer({ ...diffing('/a', '/b'), epoch: { seconds: 1 } as never }), {
        message: 'diffLayer.args[0].epoch.nanos: Missing property',
      });
      await assert.rejects(diffLayer({ ...diffing('/a', '/b'), compression: 'detect' as never }), {
        message: 'diffLayer.args[0].compression: Unknown compression',
      });
      await assert.rejects(runProgram({ file: '/bin/true', args: [], env: {}, timeoutMs: 1, input: 'text' as never }), {
        message: 'runProgram.args[0].input: Expected Uint8Array',
      });
    });

    it('may be 64 bits wide', async () => {
      const root = await fresh('wide');
      await assert.rejects(applyLayer(applying(root, { offset: 1n << 62n, length: 10n })), { code: 'EIO' });
    });
  });

  it('says what failed, with the name of the errno and no number', async () => {
    const error: unknown = await applyLayer(applying('/nowhere')).catch((caught: unknown) => caught);
    assert(error instanceof Error && 'code' in error && 'operation' in error);
    assert.equal(error.code, 'ENOENT');
    assert.equal(error.operation, 'open directory "/nowhere"');
    assert.match(error.message, /^open directory "\/nowhere": no such file or directory$/i);
  });

  it('applies and computes layers', async () => {
    const root = await fresh('applied');
    const { digest, size, entries } = await applyLayer(applying(root));
    const plain = execFileSync('gzip', ['-dc', layer], { maxBuffer: 1 << 24 });
    assert.equal(size, BigInt(plain.length));
    assert.equal(entries, 201n);
    assert.match(digest, /^sha256:[0-9a-f]{64}$/);
    assert.equal(await readFile(path.join(root, 'f7'), 'utf8'), 'file 7');

    const file = path.join(folder, 'computed');
    await writeFile(file, 'of an earlier attempt');
    const written = await diffLayer(diffing(root, file));
    assert.equal(BigInt((await readFile(file)).length), written.size);
    const copy = await fresh('copy');
    const again = await applyLayer(applying(copy, { blob: file }));
    assert.equal(again.digest, written.uncompressedDigest);
    assert.equal(again.size, written.uncompressedSize);
    assert.equal(again.entries, 200n);
  });

  it('makes EROFS images, of trees and of layers', async function () {
    if (!asRoot) this.skip();
    const magic = async (file: string): Promise<number> => (await readFile(file)).readUInt32LE(1024);
    const file = path.join(folder, 'tree.erofs');
    const made = await makeErofs({ root: path.join(folder, 'tree'), file, epoch: null, digest: false });
    assert.equal(made.digest, '');
    assert.equal(Number(made.size), (await stat(file)).size);
    assert.equal(await magic(file), 0xe0f5e1e2);
    const converting = { blob: layer, file, scratch: path.join(folder, 'scratch'), maxSize: 1 << 20, maxEntries: 1000 };
    const first = await layerToErofs(converting);
    assert.equal(
      first.digest,
      `sha256:${createHash('sha256')
        .update(await readFile(file))
        .digest('hex')}`,
    );
    assert.deepEqual(await layerToErofs(converting), first);
    await assert.rejects(layerToErofs({ ...converting, maxEntries: 3 }), { code: 'EFBIG' });
    assert(!existsSync(converting.scratch));
  });

  it('handles trees', async () => {
    const from = path.join(folder, 'tree');
    const to = await fresh('tree-copy');
    await copyTree(from, to);
    assert.equal(await readFile(path.join(to, 'f1'), 'utf8'), 'file 1');
    assert.equal((await diskUsage(to)).inodes, 201n);
    await syncFileSystem(to);
    await symlink('/', path.join(to, 'link'));
    await removeTree(to);
    await removeTree(to);
    assert(!existsSync(to));
    assert.equal((await diskUsage(to)).inodes, 0n);
    await assert.rejects(removeTree('relative'), { code: 'EINVAL' });
    await assert.rejects(removeTree('/'), { code: 'EINVAL' });
    await assert.rejects(removeTree('/tmp/..'), { code: 'EINVAL' });
  });

  it('stops when the signal aborts, with its reason, however often', async () => {
    const reason = new Error('enough');
    await assert.rejects(diskUsage('/', AbortSignal.abort(reason)), reason);
    const controller = new AbortController();
    const several = ['/usr', '/usr', '/'].map((tree) => diskUsage(tree, controller.signal));
    setImmediate(() => {
      controller.abort(reason);
      controller.abort(reason);
    });
    const outcomes = await Promise.allSettled(several);
    for (const outcome of outcomes.slice(2)) {
      assert.equal(outcome.status, 'rejected');
      assert.equal(outcome.reason, reason);
    }
    assert.equal(
      await diskUsage(path.join(folder, 'tree'), controller.signal).catch((error: unknown) => error),
      reason,
    );
  });

  it('runs many calls at once and keeps the loop free', async () => {
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const roots = await Promise.all(Array.from({ length: 16 }, (_, i) => fresh(`many${i}`)));
    const results = await Promise.all(roots.map((root) => applyLayer(applying(root))));
    clearInterval(timer);
    assert.equal(new Set(results.map(({ digest }) => digest)).size, 1);
    assert(turns > 0);
  });

  it('runs programs', async () => {
    const outcome = await runProgram({
      file: '/bin/sh',
      args: ['-c', 'cat; echo "$WORD" >&2; exit 3'],
      env: { WORD: 'wörd' },
      input: Buffer.from('in'),
      timeoutMs: 10_000,
    });
    assert.deepEqual([outcome.code, outcome.signal, outcome.timedOut], [3, 0, false]);
    assert.equal(outcome.stdout.toString(), 'in');
    assert.equal(outcome.stderr.toString(), 'wörd\n');
    await assert.rejects(runProgram({ file: '/no/such', args: [], env: {}, timeoutMs: 1000 }), { code: 'ENOENT' });
  });

  it('serves several environments, and one may end in the middle', async () => {
    const source = `
      const { parentPort } = require('node:worker_threads');
      import(${JSON.stringify(face)}).then(async (addon) => {
        void addon.diskUsage('/').catch(() => undefined);
        void addon.runProgram({ file: '/bin/sleep', args: ['60'], env: {}, timeoutMs: 100000 });
        await addon.diskUsage('/tmp');
        parentPort.postMessage('busy');
      });`;
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(source, { eval: true, execArgv: process.execArgv });
      const busy = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject));
      assert.equal(busy, 'busy');
      await worker.terminate();
    }
    assert.equal((await diskUsage(path.join(folder, 'tree'))).inodes, 201n);
  });

  describe('mounts', function () {
    before(function () {
      if (!asRoot) this.skip();
    });

    it('come, are found, and go', async () => {
      const target = await fresh('mounted');
      const tmpfs = { type: 'tmpfs', source: 'davit-test', options: ['size=1m', 'nosuid'] };
      await mountAll([tmpfs, { type: 'bind', source: target, options: ['rbind', 'ro'] }], target);
      try {
        const found = await lookupMount(target);
        assert.deepEqual([found.type, found.source, found.target], ['tmpfs', 'davit-test', target]);
        assert.match(found.options, /^ro,/);
        assert.equal((await listMounts()).filter((entry) => entry.target === target).length, 2);
        await unmount(target);
        assert.match((await lookupMount(target)).options, /^rw,nosuid/);
      } finally {
        await unmountAll(target);
      }
      await unmountAll(target);
      await assert.rejects(unmount(target), { code: 'EINVAL' });
      await assert.rejects(mountAll([{ type: 'nosuchfs', source: 'x', options: [] }], target), { code: 'ENODEV' });
    });

    it('tell whether overlays work', async () => {
      const { supported, reason, userXattr } = await probeOverlay(folder);
      assert.equal(typeof userXattr, 'boolean');
      assert.equal(reason === '', supported);
      assert.equal((await diskUsage(folder)).inodes > 0n, true);
      await assert.rejects(probeOverlay('/nowhere'), { code: 'ENOENT' });
    });
  });
});
