// davit cp: docker's rules for where things go, and whose they are.
import assert from 'node:assert/strict';
import {
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readPath } from '../../client/copy.ts';
import { after, before, describe, it } from 'mocha';
import { davitCommand } from '../harness/davit.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, ociArchive } from '../harness/image.ts';
import { targetOf } from '../harness/target.ts';

const IMAGE = 'docker.io/test/busybox:latest';
const SETUP = [
  'mkdir -p /d/sub /volume/in',
  'echo one >/d/file',
  'echo deep >/d/sub/deep',
  'chown 33:34 /d/file',
  'ln -s /d /to-d',
  'ln -s ../d/file /d/to-file',
  'ln /d/file /d/again',
  'mkfifo /d/fifo 2>/dev/null || mknod /d/fifo p',
  'sleep 1000',
].join('; ');

// containerd 1.6 has no Transfer service.
(targetOf(process.env) === 'davit' ? describe : describe.skip)('davit cp', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const davit = davitCommand(t);
  let folder = '';
  let volume = '';
  const here = (name: string): string => path.join(folder, name);
  const read = (name: string): string => readFileSync(here(name), 'utf8');
  const cp = (...args: readonly string[]): string => davit.ok(['cp', ...args]);
  const refuses = (pattern: RegExp, ...args: readonly string[]): void => {
    const { status, stderr } = davit.run(['cp', ...args]);
    assert.equal(status, 1, stderr);
    assert.match(stderr, pattern);
  };
  let execs = 0;
  const inside = (script: string, id = 'web'): string =>
    davit.ok(['tasks', 'exec', '--exec-id', `e${execs++}`, id, 'sh', '-c', script]);

  before('run containers', () => {
    folder = mkdtempSync('/tmp/davit-cp-');
    volume = mkdtempSync('/tmp/davit-cp-volume-');
    davit.ok(['images', 'import', '-'], ociArchive([busyboxImage()]));
    const mount = ['--mount', `type=bind,src=${volume},dst=/volume,options=rbind`];
    davit.ok(['run', '-d', ...mount, IMAGE, 'web', 'sh', '-c', SETUP]);
    davit.ok(['run', IMAGE, 'stopped', 'sh', '-c', 'mkdir /d; echo still >/d/file; chown 33:34 /d/file']);
    for (
      let tries = 0;
      tries < 100 &&
      davit.run(['tasks', 'exec', '--exec-id', `r${tries}`, 'web', 'test', '-e', '/d/fifo']).status !== 0;
      tries++
    );
  });
  after('remove them', () => {
    for (const each of [folder, volume]) rmSync(each, { recursive: true, force: true });
  });

  it('copies files and directories out, under the names that were asked for', () => {
    cp('web:/d/file', here('file'));
    assert.equal(read('file'), 'one\n');
    assert.equal(statSync(here('file')).uid, process.getuid?.());
    cp('-a', 'web:d/file', here('owned'));
    assert.deepEqual([statSync(here('owned')).uid, statSync(here('owned')).gid], [33, 34]);
    cp('web:/d', here('new'));
    assert.equal(read('new/sub/deep'), 'deep\n');
    assert.equal(statSync(here('new/again')).ino, statSync(here('new/file')).ino, 'a hard link stays one');
    assert.ok(lstatSync(here('new/fifo')).isFIFO());
    mkdirSync(here('there'));
    cp('web:/d', here('there'));
    cp('web:/d/sub/.', here('there'));
    assert.equal(read('there/d/sub/deep') + read('there/deep'), 'deep\ndeep\n');
    cp('web:/d/sub/deep', here('there/d/file'));
    assert.equal(read('there/d/file'), 'deep\n', 'a file is overwritten');
  });

  it('copies a link as a link, and what it leads to when asked', () => {
    cp('web:/to-d', here('link'));
    assert.ok(lstatSync(here('link')).isSymbolicLink());
    cp('-L', 'web:/to-d', here('followed'));
    assert.equal(read('followed/file'), 'one\n');
    cp('web:/to-d/', here('slash'));
    assert.equal(read('slash/file'), 'one\n');
  });

  it('copies into a container, as root or with owners', () => {
    mkdirSync(here('tree/sub'), { recursive: true });
    writeFileSync(here('tree/a'), 'a\n');
    writeFileSync(here('tree/sub/b'), 'b\n', { mode: 0o755 });
    chownSync(here('tree/a'), 33, 34);
    cp(here('tree'), 'web:/tmp');
    cp(`${here('tree')}/.`, 'web:/tmp/');
    cp(here('tree'), 'web:/tmp/fresh');
    cp('-a', here('tree/a'), 'web:/tmp/kept');
    cp(here('tree/a'), 'web:to-d/linked');
    const paths = '/tmp/tree/sub/b /tmp/sub/b /tmp/fresh/a /tmp/kept /d/linked';
    assert.equal(
      inside(`cat ${paths}; stat -c '%u:%g %a' ${paths}`),
      'b\nb\na\na\na\n0:0 755\n0:0 755\n0:0 644\n33:34 644\n0:0 644\n',
    );
    cp(here('tree/a'), 'web:/volume/in');
    assert.equal(readFileSync(path.join(volume, 'in/a'), 'utf8'), 'a\n', 'a volume is what the container sees');
  });

  it('takes and gives archives', () => {
    const archive = davit.run(['cp', 'web:/d', '-']);
    assert.equal(archive.status, 0, archive.stderr);
    assert.ok(archive.bytes.includes('d/sub/deep'));
    davit.ok(['cp', '-', 'web:/tmp'], archive.bytes);
    assert.equal(inside('stat -c %u:%g /tmp/d/file; cat /tmp/d/sub/deep'), '33:34\ndeep\n');
    const broken = davit.run(['cp', '-', 'web:/tmp'], archive.bytes.subarray(0, 700));
    assert.equal(broken.status, 1);
    assert.match(davit.run(['cp', '-', 'web:/tmp'], Buffer.from('no archive, but text '.repeat(100))).stderr, /web/);
  });

  it('reaches a container that does not run', () => {
    cp('stopped:/d/file', here('from-stopped'));
    assert.equal(read('from-stopped'), 'still\n');
    writeFileSync(here('put'), 'put\n');
    cp(here('put'), 'stopped:/d/');
    cp('stopped:/d/put', here('back'));
    assert.equal(read('back'), 'put\n');
  });

  it('unmounts what it has mounted when the reader goes away', async () => {
    for await (const chunk of readPath(t.client, { container: 'stopped', path: '/bin/busybox' })) {
      assert.ok(chunk.length > 0);
      break;
    }
    const mounted = (): boolean =>
      readFileSync('/proc/self/mountinfo', 'utf8').includes(`${t.daemon.directory}/state/mounts/`);
    for (let tries = 0; tries < 100 && mounted(); tries++) await sleep(50);
    assert.equal(mounted(), false);
  });

  it("gives and takes the container's ids where those are mapped", async function () {
    const { plugins } = await t.client.introspection.Plugins({ filters: ['id==overlayfs'] });
    if (!plugins.some(({ capabilities }) => capabilities.includes('remap-ids'))) {
      process.stdout.write('    kernel 6.15: the snapshotter does not map ids\n');
      this.skip();
    }
    const maps = ['--uidmap', '0:200000:65536', '--gidmap', '0:300000:65536', '--remap-labels'];
    davit.ok(['run', '-d', ...maps, IMAGE, 'mapped', 'sh', '-c', 'sleep 1000']);
    inside('echo x >/mine; chown 33:34 /mine', 'mapped');
    cp('-a', 'mapped:/mine', here('mapped'));
    assert.deepEqual([statSync(here('mapped')).uid, statSync(here('mapped')).gid], [33, 34]);
    cp('-a', here('mapped'), 'mapped:/back');
    cp(here('mapped'), 'mapped:/root-s');
    assert.equal(inside('stat -c %u:%g /back /root-s /bin/busybox', 'mapped'), '33:34\n0:0\n0:0\n');
    davit.ok(['tasks', 'kill', '-s', 'KILL', 'mapped']);
    davit.run(['tasks', 'rm', '--force', 'mapped']);
    cp('-a', 'mapped:/back', here('mapped-stopped'));
    cp('-a', 'mapped:/bin/busybox', here('mapped-busybox'));
    assert.deepEqual([statSync(here('mapped-stopped')).uid, statSync(here('mapped-busybox')).uid], [33, 0]);
    davit.ok(['containers', 'rm', 'mapped']);
  });

  it('refuses in one line what cannot be', () => {
    refuses(/container "nobody".*: not found/, 'nobody:/x', folder);
    refuses(/container "web": path "\/none": not found/, 'web:/none', folder);
    refuses(/no directory that is there/, 'web:/d/file', here('missing/'));
    refuses(/cannot copy a directory/, 'web:/d', here('file'));
    writeFileSync(here('sub'), '');
    refuses(/cannot overwrite a directory/, here('sub'), 'web:/d');
    refuses(/one of both/, folder, folder);
    refuses(/ENOENT/, here('none'), 'web:/tmp');
    assert.ok(!existsSync(here('missing')));
  });

  it('never writes through links that an earlier copy has made here', () => {
    inside('mkdir /trap; ln -s /etc /trap/x');
    cp('web:/trap', here('trap'));
    inside('rm /trap/x; mkdir /trap/x; echo evil >/trap/x/davit-cp-test');
    mkdirSync(here('outside'));
    rmSync(here('trap/x'));
    symlinkSync(here('outside'), here('trap/x'));
    const { status } = davit.run(['cp', 'web:/trap/.', here('trap')]);
    assert.equal(status, 1);
    assert.deepEqual([existsSync(here('outside/davit-cp-test')), existsSync('/etc/davit-cp-test')], [false, false]);
  });
});
