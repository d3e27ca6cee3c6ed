import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '../lib/log.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { createAhead, type DaemonAhead } from './ahead.ts';
import { nativeTools as tools } from './native-tools.ts';
import type { Place } from './place.ts';

const log = createLogger({ level: 'panic', format: 'text', stream: process.stderr });
const limits = { size: 1 << 30, entries: 10_000 };
const never = new AbortController().signal;
const asRoot = process.getuid?.() === 0;

/** What is in a folder: names, types, owners, modes, times, links, attributes and content. */
async function archived(folder: string): Promise<string> {
  // Whiteouts are as old as they are.
  execFileSync('find', [folder, '-type', 'c', '-exec', 'touch', '-h', '-d', '@0', '{}', '+']);
  const flags = ['--sort=name', '--xattrs', '--xattrs-include=*', '--format=posix'];
  const names = (await readdir(folder)).sort();
  const args = [...flags, '--pax-option=delete=atime,delete=ctime', '-C', folder, '-cf', '-', ...names];
  return createHash('sha256').update(execFileSync('tar', args)).digest('hex');
}

describe('layers unpacked ahead', () => {
  before(function () {
    if (!asRoot) this.skip();
  });

  async function setUp() {
    const folder = await temporaryFolder();
    const at = (...names: string[]): string => path.join(folder.path, ...names);
    const remove = (name: string): Promise<void> => rm(name, { recursive: true, force: true });
    const ahead: DaemonAhead = createAhead({ tools, folder: at('ahead'), remove, limits, width: 1, log });
    await ahead.recover();
    /** A layer of these files, with noise so that it is not too small to bother. */
    const layer = async (name: string, shell: string): Promise<string> => {
      await mkdir(at('make', name), { recursive: true });
      execFileSync('sh', ['-ec', `head -c 65536 /dev/urandom >noise-${name}; ${shell}`], { cwd: at('make', name) });
      return at(`${name}.tar.gz`);
    };
    const pack = (name: string, what = '.'): void => {
      const flags = ['--xattrs', '--xattrs-include=*', '-C', at('make', name), '-czf', at(`${name}.tar.gz`)];
      execFileSync('tar', [...flags, ...what.split(' ')]);
    };
    const arrived = async (name: string): Promise<void> => {
      const file = at(`${name}.tar.gz`);
      ahead.arrived({ ref: `layer-${name}`, digest: name, size: (await stat(file)).size, file });
      while ((await readdir(at('ahead'))).length === 0) await sleep(5);
    };
    const place = async (name: string, lower: readonly string[] | undefined): Promise<Place> => {
      await mkdir(at(name));
      return { folder: at(name), overlay: lower === undefined ? undefined : { lower, userXattr: false } };
    };
    const directly = async (name: string, target: Place) =>
      tools.apply({ blob: at(`${name}.tar.gz`), detect: true, ...target, sync: false, limits }, never);
    return { folder, at, ahead, layer, pack, arrived, place, directly };
  }

  it('are what they would be, applied when asked for', async () => {
    const { folder, ahead, layer, pack, arrived, place, directly } = await setUp();
    await using _folder = folder;
    await layer(
      'base',
      'mkdir -p etc/x var; echo 1 >etc/a; setfattr -n user.kept -v 1 etc; chmod 2750 etc; chown 7:8 var',
    );
    pack('base');
    await layer(
      'top',
      'mkdir -p etc/x; echo 2 >etc/b; touch etc/.wh.a var; ln etc/b etc/c; mkfifo etc/x/fifo; chmod 700 etc',
    );
    pack('top');
    await arrived('base');
    const base = await place('base', undefined);
    const below = await place('below', undefined);
    assert.equal((await ahead.take('base', base, never))?.digest, (await directly('base', below)).digest);
    assert.equal(await archived(base.folder), await archived(below.folder));
    await arrived('top');
    const top = await place('top', [base.folder]);
    const again = await place('again', [below.folder]);
    assert.equal((await ahead.take('top', top, never))?.digest, (await directly('top', again)).digest);
    assert.equal(await archived(top.folder), await archived(again.folder));
    assert.equal(await ahead.take('top', await place('third', [base.folder]), never), undefined);
    // Of a directory that the archive does not describe it has the looks of the one below.
    await layer('implied', 'mkdir -p etc/x; echo 3 >etc/x/new');
    pack('implied', 'noise-implied etc/x/new');
    await arrived('implied');
    const implied = await place('implied', [top.folder, base.folder]);
    const likewise = await place('likewise', [again.folder, below.folder]);
    const { usage } = (await ahead.take('implied', implied, never)) ?? {};
    assert.deepEqual(usage, (await directly('implied', likewise)).usage);
    assert.equal(await archived(implied.folder), await archived(likewise.folder));
    assert.equal((await stat(path.join(implied.folder, 'etc'))).mode & 0o7777, 0o700);
    await ahead.stop();
  });

  it('are not used where what is below would have changed them', async () => {
    const { folder, at, ahead, layer, pack, arrived, place } = await setUp();
    await using _folder = folder;
    await layer('implied', 'mkdir lib; echo 1 >lib/file');
    pack('implied', 'noise-implied lib/file');
    await arrived('implied');
    await mkdir(at('lower'));
    await symlink('elsewhere', at('lower', 'lib'));
    const place1 = await place('one', [at('lower')]);
    assert.equal(await ahead.take('implied', place1, never), undefined);
    assert.deepEqual(await readdir(place1.folder), []);

    await layer('marked', 'touch .wh.gone');
    pack('marked');
    await arrived('marked');
    assert.equal(await ahead.take('marked', await place('two', undefined), never), undefined);

    await layer('fine', 'mkdir d');
    pack('fine');
    await arrived('fine');
    const full = await place('full', []);
    await writeFile(path.join(full.folder, 'file'), '');
    assert.equal(await ahead.take('fine', full, never), undefined);
    assert.deepEqual(await readdir(full.folder), ['file']);
    assert.deepEqual(await readdir(at('ahead')), []);
    await ahead.stop();
  });

  it('are left alone when they are no layers', async () => {
    const { folder, at, ahead, layer, pack, arrived, place } = await setUp();
    await using _folder = folder;
    await layer('broken', 'true');
    pack('broken');
    await truncate(at('broken.tar.gz'), 40_000);
    await arrived('broken');
    assert.equal(await ahead.take('broken', await place('one', []), never), undefined);
    ahead.arrived({ ref: 'config-x', digest: 'x', size: 1 << 20, file: at('broken.tar.gz') });
    assert.equal(await ahead.take('x', await place('two', []), never), undefined);
    assert.deepEqual(await readdir(at('ahead')), []);
    await ahead.stop();
  });
});
