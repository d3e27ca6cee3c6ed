// davitd as a proxy plugin: Debian's containerd uses its snapshotter.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { createDaemon } from '../harness/daemon.ts';
import { eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, ociArchive } from '../harness/image.ts';
import { removeNamespaceCgroups } from '../harness/leftovers.ts';
import { targetOf } from '../harness/target.ts';

/** Of the containerd in front. */
const NAMESPACE = 'proxied-test';

describe('davitd as a proxy plugin of containerd', () => {
  if (targetOf(process.env) === 'containerd') {
    process.stdout.write('    skipped: these tests put a containerd in front of a davitd themselves\n');
    return;
  }
  const folder = mkdtempSync('/tmp/davit-proxied-');
  const address = path.join(folder, 'p.sock');
  const image = busyboxImage();
  const t = useDaemon({ config: `[plugins."io.davit.proxied.v1"]\naddress = ${JSON.stringify(address)}\n` });
  const front = createDaemon({
    target: 'containerd',
    config: `[proxy_plugins.davit]\ntype = "snapshot"\naddress = ${JSON.stringify(address)}\n`,
  });
  before('start containerd', () => front.start());
  after('stop containerd', async () => {
    await front.stop();
    front.remove();
    removeNamespaceCgroups([NAMESPACE]);
    rmSync(folder, { recursive: true, force: true });
  });

  const ctr = (...words: string[]): string =>
    execFileSync('ctr', ['--address', front.address, '--namespace', NAMESPACE, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  const kept = async (): Promise<string[]> => {
    const names: string[] = [];
    const proxied = t.client.with({ namespace: 'davit-proxied' });
    for await (const { info } of proxied.snapshots.List({ snapshotter: 'overlayfs' }))
      names.push(...info.map(({ name }) => name));
    return names;
  };
  const trees = (): string[] => readdirSync(path.join(t.daemon.root, 'snapshots/overlayfs/snapshots'));

  it('holds its images and containers, and nothing when they are gone', async () => {
    const archive = path.join(folder, 'image.tar');
    writeFileSync(archive, ociArchive([image]));
    ctr('image', 'import', '--snapshotter', 'davit', archive);
    const said = ctr('run', '--rm', '--snapshotter', 'davit', image.name, 'c1', 'sh', '-c', 'echo hello >/f; cat /f');
    assert.equal(said, 'hello\n');
    // containerd removes the container's in its own time.
    await eventually('the layers are left', async () => (await kept()).length === image.layers.length);
    const names = await kept();
    for (const name of names) assert.match(name, /^proxied-test\/\d+\/sha256:/);
    // What containerd keeps here is no garbage, whatever this daemon collects.
    const { lease } = await t.client.leases.Create({});
    await t.client.leases.Delete({ id: lease?.id ?? '', sync: true });
    assert.deepEqual(await kept(), names);
    await t.restart('kill');
    await eventually('containerd has connected again', () => {
      try {
        ctr('snapshot', '--snapshotter', 'davit', 'usage');
        return true;
      } catch {
        return false;
      }
    });
    assert.equal(ctr('run', '--rm', '--snapshotter', 'davit', image.name, 'c2', 'echo', 'again'), 'again\n');
    ctr('image', 'rm', '--sync', image.name);
    await eventually('containerd has removed its snapshots', async () => (await kept()).length === 0);
    await eventually('their files are gone', () => trees().length === 0);
  });
});
