// davit commit: images made of containers. On containerd too, whose services it is made of.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { before, describe, it } from 'mocha';
import { readJson } from '../../client/images/content.ts';
import { imageTarget, readImage } from '../../client/images/resolve.ts';
import { hostPlatform } from '../../client/images/platform.ts';
import { davitCommand } from '../harness/davit.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { layeredImage, ociArchive } from '../harness/image.ts';

const IMAGE = 'docker.io/test/layered:latest';
const NEW = 'docker.io/library/made:1';
/** Of commits killed at some moment. */
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 3);

describe('davit commit', function () {
  this.timeout(120_000);
  const t = useDaemon();
  const davit = davitCommand(t);

  before('import an image', () => {
    davit.ok(['images', 'import', '-'], ociArchive([layeredImage()]));
  });

  const running = (id: string, script: string, flags: readonly string[] = []): void => {
    davit.ok(['run', '-d', ...flags, IMAGE, id, 'sh', '-c', `${script}; touch /ready; sleep 1000`]);
  };
  const until = async (id: string): Promise<void> => {
    for (let tries = 0; tries < 100; tries++) {
      if (davit.run(['tasks', 'exec', '--exec-id', `e${tries}`, id, 'test', '-e', '/ready']).status === 0) return;
      await sleep(50);
    }
    assert.fail(`container ${id} is never ready`);
  };
  const remove = (id: string): void => {
    davit.run(['tasks', 'kill', '-s', 'KILL', id]);
    davit.run(['tasks', 'rm', '--force', id]);
    davit.ok(['containers', 'rm', id]);
  };
  const inImage = (id: string, script: string): string => davit.ok(['run', '--rm', NEW, id, 'sh', '-c', script]);
  const imageOf = async (name: string) => await readImage(t.client, await imageTarget(t.client, name), hostPlatform());

  it('makes an image of a running container, which goes on running', async () => {
    running('web', 'echo new >/data/fresh; rm /data/replaced; mkdir /deep; echo x >/deep/file; chown 33:34 /deep/file');
    await until('web');
    const before = await imageOf(IMAGE);
    const changes = ['ENV MODE=test PATH=$PATH:/more', 'CMD ["cat", "/data/fresh"]', 'LABEL a="b c"', 'WORKDIR /deep'];
    const options = ['-a', 'Ann', '-m', 'with data', ...changes.flatMap((change) => ['--change', change])];
    assert.match(
      davit.ok(['commit', ...options, 'web', 'made:1']),
      /^docker\.io\/library\/made:1@sha256:[0-9a-f]{64}\n$/,
    );
    assert.match(davit.ok(['tasks', 'ls']), /^web +\d+ +RUNNING/m);

    assert.equal(davit.ok(['run', '--rm', NEW, 'again']), 'new\n');
    assert.equal(
      inImage('look', 'test -e /data/replaced || echo gone; stat -c %u:%g /deep/file; echo $MODE; pwd'),
      'gone\n33:34\ntest\n/deep\n',
    );
    const after = await imageOf(NEW);
    assert.deepEqual(after.manifest.layers.slice(0, -1), before.manifest.layers);
    assert.equal(after.config.rootfs.diff_ids.length, before.config.rootfs.diff_ids.length + 1);
    const step = after.config.history?.at(-1) as { author?: string; comment?: string; created_by?: string };
    assert.equal(step.author, 'Ann');
    assert.equal(step.comment, 'with data');
    assert.match(step.created_by ?? '', /^sh -c echo new/);
    assert.deepEqual((after.config.config?.['Labels'] as object) ?? {}, { a: 'b c' });
    assert.match(String(after.config.config?.['Env']), /PATH=[^,]*:\/more/);
    assert.match(davit.ok(['history', NEW]), /sh -c echo new/);
    assert.deepEqual((await imageOf(IMAGE)).manifest, before.manifest, 'the image it was made from');
  });

  it('makes one of a stopped container, and of one whose image has lost its name', () => {
    const made = davit.run(['run', IMAGE, 'once', 'sh', '-c', 'echo second >/data/fresh']);
    assert.equal(made.status, 0, made.stderr);
    davit.ok(['tag', IMAGE, 'docker.io/test/other:1']);
    davit.ok(['rmi', IMAGE]);
    davit.ok(['commit', 'once', NEW]);
    davit.ok(['tag', 'docker.io/test/other:1', IMAGE]);
    assert.equal(inImage('look', 'cat /data/fresh'), 'second\n');
    remove('once');
  });

  it('says what is wrong in one line', () => {
    const says = (args: readonly string[], pattern: RegExp): void => {
      const { status, stderr } = davit.run(['commit', ...args]);
      assert.equal(status, 1);
      assert.match(stderr, pattern);
    };
    says(['nobody', 'x'], /^davit: container "nobody".*not found/);
    says(['--change', 'COPY a b', 'web', 'x'], /^davit: change "COPY a b": not one of CMD, ENTRYPOINT/);
    says(['--change', 'ENV A="b', 'web', 'x'], /^davit: change "ENV A="b": a " is never closed/);
    assert.match(davit.ok(['tasks', 'ls']), /^web +\d+ +RUNNING/m);
    assert.equal(davit.ok(['images', 'ls', '-q']).includes('/x:'), false);
  });

  it("gives files the container's ids where those are mapped", async function () {
    const { plugins } = await t.client.introspection.Plugins({ filters: ['id==overlayfs'] });
    if (!plugins.some(({ capabilities }) => capabilities.includes('remap-ids'))) {
      process.stdout.write('    davit only, kernel 6.15: the snapshotter does not map ids\n');
      this.skip();
    }
    const maps = ['--uidmap', '0:200000:65536', '--gidmap', '0:300000:65536', '--remap-labels'];
    running('mapped', 'echo x >/mine; echo x >/theirs; chown 33:34 /theirs; chmod 600 /data/replaced', maps);
    await until('mapped');
    davit.ok(['commit', 'mapped', NEW]);
    assert.equal(inImage('look', 'stat -c %u:%g /mine /theirs /data/replaced /'), '0:0\n33:34\n0:0\n0:0\n');
    remove('mapped');
  });

  it('leaves an image in full or nothing, whenever it is killed', async () => {
    const client = t.client;
    const blobs = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { info } of client.content.List({})) found.push(...info.map(({ digest }) => digest));
      return found.toSorted();
    };
    const snapshots = async (): Promise<string[]> => {
      const found: string[] = [];
      for await (const { info } of client.snapshots.List({ snapshotter: 'overlayfs' }))
        found.push(...info.map(({ name }) => name));
      return found.toSorted();
    };
    davit.ok(['rmi', '--sync', NEW]);
    const before = [await blobs(), await snapshots()];
    for (let round = 0; round < ROUNDS; round++) {
      const child = davit.start(['commit', 'web', NEW]);
      const ended = once(child, 'exit');
      await sleep(((round + 0.5) * 500) / ROUNDS);
      child.kill('SIGKILL');
      await ended;
      await eventually('it goes on', () => /^web +\d+ +RUNNING/m.test(davit.ok(['tasks', 'ls'])));
      // What a lease holds ends with it.
      const { leases } = await client.leases.List({});
      for (const { id } of leases) await client.leases.Delete({ id, sync: true });
      const { images } = await client.images.List({ filters: [`name==${NEW}`] });
      if (images.length > 0) {
        const { manifest } = await imageOf(NEW);
        for (const { digest } of manifest.layers) await client.content.Info({ digest });
        await readJson(client, manifest.config);
        assert.equal(inImage('look', 'cat /data/fresh'), 'new\n');
        davit.ok(['rmi', '--sync', NEW]);
      }
      assert.deepEqual([await blobs(), await snapshots()], before);
    }
    remove('web');
  });
});
