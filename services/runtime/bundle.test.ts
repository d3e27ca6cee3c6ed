import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { unmountAll } from '../../native/addon/index.ts';
import { kindOf } from '../lib/errors.ts';
import { createBundles, loadBinary, loadEndpoint, saveBinary, saveEndpoint, type Bundles } from './bundle.ts';

describe('bundles', () => {
  let folder: string;
  let bundles: Bundles;
  let unmounted: string[];
  let failures: string[];

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'bundles-'));
    unmounted = [];
    failures = [];
    bundles = createBundles({
      failed: (error) => void failures.push(String(error)),
      folder: path.join(folder, 'tasks'),
      unmount: async (target) => void unmounted.push(target),
    });
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are private and hold the spec byte by byte', () => {
    const spec = Buffer.from('{"linux":{"resources":{"memory":{"limit":9223372036854775807}}},  "x": "\\u00e9"}');
    const bundle = bundles.create('ns', 'a', spec);
    assert.equal(statSync(bundle.path).mode & 0o777, 0o700);
    assert.deepEqual(readFileSync(path.join(bundle.path, 'config.json')), spec);
    assert.ok(existsSync(path.join(bundle.path, 'rootfs')));
  });

  it('let the root of a user namespace walk through', () => {
    const spec = Buffer.from(JSON.stringify({ linux: { gidMappings: [{ containerID: 0, hostID: 4242, size: 1 }] } }));
    const stat = statSync(bundles.create('ns', 'a', spec).path);
    assert.deepEqual([stat.mode & 0o777, stat.gid], [0o710, 4242]);
  });

  it('are not made twice, nor half', () => {
    bundles.create('ns', 'a', undefined);
    assert.throws(
      () => bundles.create('ns', 'a', undefined),
      (error) => kindOf(error) === 'already exists',
    );
    assert.throws(() => bundles.create('ns', 'b', Buffer.from('{"gidMappings": no JSON')));
    assert.deepEqual(
      bundles.list().map(({ id }) => id),
      ['a'],
    );
  });

  it('remember their shim', () => {
    const bundle = bundles.create('ns', 'a', undefined);
    assert.deepEqual([loadBinary(bundle), loadEndpoint(bundle, false)], [undefined, undefined]);
    saveBinary(bundle, '/bin/shim');
    saveEndpoint(bundle, { version: 3, address: 'unix:///s', protocol: 'ttrpc' });
    assert.deepEqual(loadBinary(bundle), '/bin/shim');
    assert.deepEqual(loadEndpoint(bundle, false), { version: 3, address: 'unix:///s', protocol: 'ttrpc' });
    writeFileSync(path.join(bundle.path, 'bootstrap.json'), '{"versi');
    assert.equal(loadEndpoint(bundle, false), undefined);
    rmSync(path.join(bundle.path, 'bootstrap.json'));
    writeFileSync(path.join(bundle.path, 'address'), 'unix:///own');
    assert.deepEqual(loadEndpoint(bundle, false), { version: 2, address: 'unix:///own', protocol: 'ttrpc' });
  });

  const namespace = (): string => path.join(folder, 'tasks', 'ns');
  const onDisk = (): string[] => (existsSync(namespace()) ? readdirSync(namespace()) : []);

  it('are removed with what is in them, and twice', async () => {
    const bundle = bundles.create('ns', 'a', Buffer.from('{}'));
    mkdirSync(path.join(bundle.path, 'work', 'deep'), { recursive: true });
    await bundles.remove(bundle);
    await bundles.remove(bundle);
    assert.deepEqual([bundles.list(), unmounted], [[], []]);
    await bundles.settled();
    assert.deepEqual([onDisk(), failures], [[], []]);
  });

  it('may be made again at once', async () => {
    for (let times = 0; times < 3; times++) await bundles.remove(bundles.create('ns', 'a', Buffer.from('{}')));
    const bundle = bundles.create('ns', 'a', undefined);
    await bundles.settled();
    assert.deepEqual(onDisk(), ['a']);
    assert.ok(existsSync(bundle.path));
  });

  it('are kept when something is left in their rootfs', async () => {
    const bundle = bundles.create('ns', 'a', undefined);
    writeFileSync(path.join(bundle.path, 'rootfs', 'data'), 'precious');
    await bundles.remove(bundle);
    await bundles.settled();
    const [hidden] = onDisk();
    assert.equal(readFileSync(path.join(folder, 'tasks', 'ns', hidden ?? '', 'rootfs', 'data'), 'utf8'), 'precious');
    assert.match(failures.join(), /still mounted or not empty/);
    assert.equal(unmounted.length, 1);
  });

  it('whose removal was interrupted are removed by the next daemon', async () => {
    bundles.create('ns', 'b', undefined);
    mkdirSync(path.join(folder, 'tasks', 'ns', '.a.1.1', 'work'), { recursive: true });
    assert.deepEqual(
      bundles.list().map(({ id }) => id),
      ['b'],
    );
    await bundles.settled();
    assert.deepEqual(onDisk(), ['b']);
  });

  it('are unmounted before they go', async function () {
    const bundle = bundles.create('ns', 'a', undefined);
    const rootfs = path.join(bundle.path, 'rootfs');
    try {
      execFileSync('mount', ['-t', 'tmpfs', 'davit-test', rootfs], { stdio: 'ignore' });
    } catch {
      this.skip(); // this process may not mount
    }
    mkdirSync(path.join(rootfs, 'below'));
    execFileSync('mount', ['-t', 'tmpfs', 'davit-test', path.join(rootfs, 'below')]);
    writeFileSync(path.join(rootfs, 'data'), '');
    const mounting = createBundles({
      folder: path.join(folder, 'tasks'),
      unmount: (target) => unmountAll(target, { detach: true }),
      failed: (error) => void failures.push(String(error)),
    });
    await mounting.remove(bundle);
    assert.ok(!readFileSync('/proc/self/mountinfo', 'utf8').includes(folder));
    await mounting.settled();
    assert.deepEqual([onDisk(), failures], [[], []]);
  });
});
