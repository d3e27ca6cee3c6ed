// Mounts that the daemon performs, keeps while something needs them, and undoes.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import type { ActivationInfo, Mount } from '../../proto/gen/containerd.types.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { createContainer } from '../harness/container.ts';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { putImage } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';

const mount = (type: string, source: string, ...options: string[]): Mount => ({ type, source, target: '', options });
const TMPFS = mount('tmpfs', 'tmpfs', 'size=64k');

describe('mounts', () => {
  if (targetOf(process.env) === 'containerd') {
    process.stdout.write('    skipped: containerd 1.6 has no Mounts service, it came with 2.2\n');
    return;
  }
  const t = useDaemon();
  let folder = '';
  const held = (): Client => t.client.with({ lease: 'held' });

  before(async () => {
    folder = path.join(t.daemon.root, 'test');
    mkdirSync(folder);
    await t.client.leases.Create({ id: 'held' });
  });

  const mounted = (): string[] =>
    readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[4] ?? '')
      .filter((target) => target.startsWith(t.daemon.state));
  const loops = (file: string): string[] =>
    execFileSync('losetup', ['-j', file, '-n', '-O', 'NAME'], { encoding: 'utf8' }).split('\n').filter(Boolean);
  const activate = async (name: string, mounts: Mount[], more: object = {}): Promise<ActivationInfo> =>
    present((await held().mounts.Activate({ name, mounts, ...more })).info);
  const points = ({ active }: ActivationInfo): string[] => active.map(({ mount_point }) => mount_point);
  const nothingLeft = (): void => {
    assert.deepEqual(mounted(), []);
    assert.deepEqual(readdirSync(path.join(t.daemon.state, 'activations')), []);
  };

  it('performs what only the daemon can, and hands back the rest', async () => {
    const image = path.join(folder, 'disk.img');
    const info = await activate(
      'stack',
      [
        mount('mkfs/loop', image, 'X-containerd.mkfs.size=4MiB', 'X-containerd.mkfs.fs=ext4'),
        mount('format/ext4', '{{ mount 0 }}', 'noatime'),
        mount(
          'format/mkdir/overlay',
          'overlay',
          'X-containerd.mkdir.path={{ mount 1 }}/upper:0755',
          'X-containerd.mkdir.path={{ mount 1 }}/work:0700:7:8',
          'lowerdir=/lower',
          'upperdir={{ mount 1 }}/upper',
          'workdir={{ mount 1 }}/work',
        ),
      ],
      { labels: { color: 'red' } },
    );
    const [loop = '', disk = ''] = points(info);
    assert.deepEqual(loops(image), [readlinkSync(loop)]);
    assert.deepEqual(mounted(), [disk]);
    assert.deepEqual(readdirSync(disk).sort(), ['lost+found', 'upper', 'work']);
    assert.deepEqual(
      info.active.map(({ mount: performed }) => [performed?.type, performed?.source]),
      [
        ['loop', image],
        ['ext4', loop],
      ],
    );
    assert.deepEqual(info.system, [
      mount('overlay', 'overlay', 'lowerdir=/lower', `upperdir=${disk}/upper`, `workdir=${disk}/work`),
    ]);
    assert.deepEqual(info.labels, { color: 'red' });
    const again = await fails(
      held().mounts.Activate({ name: 'stack', mounts: [TMPFS], temporary: true }),
      'already exists',
    );
    assert.match(again.message, /mount "stack": already exists$/);
    assert.deepEqual((await t.client.mounts.Info({ name: 'stack' })).info, info);
    assert.deepEqual(await collect(t.client.mounts.List({})), [{ info }]);
    assert.deepEqual(await collect(t.client.mounts.List({ filters: ['name==other'] })), []);
    assert.deepEqual(await collect(t.inNewNamespace().mounts.List({})), []);
    assert.deepEqual((await t.client.leases.ListResources({ id: 'held' })).resources, []);
    await t.client.mounts.Deactivate({ name: 'stack' });
    nothingLeft();
    assert.deepEqual(loops(image), []);
    await fails(t.client.mounts.Info({ name: 'stack' }), 'not found', /mount "stack": not found$/);
    await fails(t.client.mounts.Deactivate({ name: 'stack' }), 'not found', /mount "stack": not found$/);
  });

  it('performs all of a temporary one, and hands back where it is', async () => {
    const info = await activate('temporary', [TMPFS, mount('format/bind', '{{ mount 0 }}', 'rbind')], {
      temporary: true,
    });
    assert.equal(info.active.length, 2);
    assert.deepEqual(info.system, [mount('bind', points(info)[1] ?? '', 'rbind')]);
    assert.deepEqual(mounted().sort(), points(info).sort());
    await t.client.mounts.Deactivate({ name: 'temporary' });
    nothingLeft();
  });

  it('mounts an EROFS image, without a loop device where the kernel can', async function () {
    const tree = path.join(folder, 'tree');
    const image = path.join(folder, 'tree.erofs');
    mkdirSync(tree);
    writeFileSync(path.join(tree, 'file'), 'in erofs');
    try {
      execFileSync('mkfs.erofs', [image, tree], { stdio: 'ignore' });
    } catch {
      process.stdout.write('    skipped: mkfs.erofs is not installed\n');
      return this.skip();
    }
    const info = await activate('erofs', [
      mount('erofs', image, 'ro', 'loop'),
      mount('overlay', 'overlay', 'lowerdir=/x'),
    ]);
    assert.equal(readFileSync(path.join(points(info)[0] ?? '', 'file'), 'utf8'), 'in erofs');
    assert.equal(info.system.length, 1);
    await t.client.mounts.Deactivate({ name: 'erofs' });
    nothingLeft();
  });

  it('refuses what it is not needed for, and what makes no sense', async () => {
    const refused = (mounts: Mount[], kind: 'not implemented' | 'invalid argument' | 'unknown', text: RegExp) =>
      fails(held().mounts.Activate({ name: 'refused', mounts }), kind, text);
    await refused([mount('overlay', 'overlay', 'lowerdir=/a:/b')], 'not implemented', /not implemented$/);
    await refused([mount('format/bind', '{{ mount 0 }}')], 'invalid argument', /index out of bounds: 0, has 0 active/);
    await refused([TMPFS, mount('format/bind', '{{ mount 0 ')], 'invalid argument', /has no end/);
    await refused([mount('format/bind', '{{ exec 0 }}')], 'invalid argument', /function "exec" is not defined/);
    await refused([mount('loop', path.join(folder, 'none'))], 'unknown', /mount 0 \(loop of .*no such file/);
    await refused([mount('mkfs/loop', path.join(folder, 'x'))], 'invalid argument', /requires mkfs.size/);
    await refused([TMPFS, mount('loop', '/dev/null')], 'unknown', /mount 1 \(loop of/);
    await fails(t.client.mounts.Activate({ name: '', mounts: [TMPFS], temporary: true }), 'invalid argument');
    await fails(t.client.mounts.Update({ info: { name: 'x' } }), 'not implemented', /not implemented$/);
    const lost = t.client.with({ lease: 'none' }).mounts.Activate({ name: 'x', mounts: [TMPFS], temporary: true });
    await fails(lost, 'not found', /lease "none"/);
    nothingLeft();
    await fails(t.client.mounts.Info({ name: 'refused' }), 'not found');
  });

  it('makes nothing outside of its own folders, nor through links', async () => {
    const make = (option: string): Promise<unknown> =>
      held().mounts.Activate({
        name: 'outside',
        mounts: [mount('mkdir/bind', '/', `X-containerd.mkdir.path=${option}`)],
      });
    await fails(make('/tmp/davit-mkdir-test'), 'not implemented', /no root "\/tmp\/davit-mkdir-test" configured/);
    await fails(make(`${folder}/../../davit-mkdir-test`), 'not implemented');
    symlinkSync('/tmp', path.join(folder, 'link'));
    await fails(make(`${folder}/link/davit-mkdir-test`), 'failed precondition', /link" is no directory/);
    assert.ok(!readdirSync('/tmp').includes('davit-mkdir-test'));
    nothingLeft();
  });

  it('go when nothing needs them any more', async () => {
    const image = busyboxImage();
    await putImage(t.client, image);
    await createContainer(t.client, image, ['true'], {}, 'needs');
    const names = async (): Promise<string[]> =>
      (await collect(t.client.mounts.List({}))).map(({ info }) => info?.name ?? '').sort();
    const kept = (name: string, labels: Record<string, string>) =>
      t.client.mounts.Activate({ name, mounts: [TMPFS], temporary: true, labels });
    await kept('by-container', { 'containerd.io/gc.bref.container': 'needs' });
    await kept('by-image', { 'containerd.io/gc.bref.image/x': image.name });
    await kept('by-absent', { 'containerd.io/gc.bref.container': 'absent' });
    await activate('by-lease', [TMPFS], { temporary: true });
    await kept('by-label', {});
    await t.client.images.Update({
      image: { name: image.name, labels: { 'containerd.io/gc.ref.mount.root': 'by-label' } },
      update_mask: { paths: ['labels.containerd.io/gc.ref.mount.root'] },
    });
    await collectGarbage(t.client);
    assert.deepEqual(await names(), ['by-container', 'by-image', 'by-label', 'by-lease']);
    await t.client.containers.Delete({ id: 'needs' });
    await t.client.leases.Delete({ id: 'held', sync: true });
    assert.deepEqual(await names(), ['by-image', 'by-label']);
    assert.equal(mounted().length, 2);
    await t.client.images.Delete({ name: image.name, sync: true });
    assert.deepEqual(await names(), []);
    await eventually('all is undone', () => mounted().length === 0);
    nothingLeft();
    await t.client.leases.Create({ id: 'held' });
  });

  it('outlive the daemon when they are whole, and are undone otherwise', async () => {
    const image = path.join(folder, 'kept.img');
    writeFileSync(image, Buffer.alloc(65536));
    const info = await activate('kept', [mount('loop', image), TMPFS], { temporary: true });
    await t.restart('kill');
    assert.deepEqual((await t.client.mounts.Info({ name: 'kept' })).info, info);
    assert.deepEqual(loops(image), [readlinkSync(points(info)[0] ?? '')]);
    await t.restart('kill', () => {
      // What a daemon left that died while it undid something.
      mkdirSync(path.join(t.daemon.state, 'activations/77/0'), { recursive: true });
      execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', path.join(t.daemon.state, 'activations/77/0')]);
      return Promise.resolve();
    });
    assert.deepEqual(mounted(), [points(info)[1] ?? '']);
    await t.client.mounts.Deactivate({ name: 'kept' });
    nothingLeft();
    assert.deepEqual(loops(image), []);
    await t.client.leases.Delete({ id: 'held' });
  });
});
