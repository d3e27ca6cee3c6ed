// What the configuration says about images: which may come in, and what stays of them.
import { strict as assert } from 'node:assert';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, afterEach, before, describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { layeredImage } from '../harness/image.ts';
import { seed, startRegistry, type TestRegistry } from '../harness/registry.ts';
import { chainId } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';
import { pull, push } from '../harness/transfer.ts';

describe('policies for images', () => {
  if (targetOf(process.env) === 'containerd') {
    process.stdout.write('    skipped: containerd 1.6 has no Transfer service\n');
    return;
  }
  const folder = mkdtempSync('/tmp/davit-policy-');
  const programs = path.join(folder, 'verifiers');
  const t = useDaemon({
    config: [
      '[plugins."io.davit.unpack.v1"]',
      'discard_unpacked_layers = true',
      '[plugins."io.containerd.image-verifier.v1.bindir"]',
      `bin_dir = ${JSON.stringify(programs)}`,
      'max_verifiers = 2',
      'per_verifier_timeout = "2s"',
    ].join('\n'),
  });
  const layered = layeredImage();
  let registry: TestRegistry;

  before(async () => {
    registry = await startRegistry({ folder: path.join(folder, 'data') });
    await seed(registry.host, 'test/layered', '1', layered);
  });
  after(async () => {
    await registry?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const collectGarbage = async (client: Client): Promise<void> => {
    const { lease } = await client.leases.Create({});
    await client.leases.Delete({ id: lease?.id ?? '', sync: true });
  };
  const has = (client: Client, digest: string): Promise<boolean> =>
    client.content.Info({ digest }).then(
      () => true,
      () => false,
    );

  it('layers go when they are unpacked, and whoever needs them is told how to get them', async () => {
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/layered:1`;
    await pull(client, name);
    await collectGarbage(client);
    for (const { descriptor } of layered.layers) assert.equal(await has(client, descriptor.digest), false);
    assert.ok(await has(client, layered.manifest.digest));
    assert.ok(await has(client, layered.config.digest));
    const key = chainId(layered.layers.map(({ diffId }) => diffId));
    await client.snapshots.Stat({ snapshotter: 'overlayfs', key });
    // The registry has the layers: nothing is to be sent.
    await push(client, name, `${registry.host}/test/layered:2`);
    const missing = /layer sha256:\w+ is not here: .*discard_unpacked_layers.*--no-unpack.*: not found$/;
    await fails(push(client, name, `${registry.host}/elsewhere/layered:1`), 'not found', missing);
    await pull(client, name, { snapshotter: undefined });
    await collectGarbage(client);
    for (const { descriptor } of layered.layers) assert.ok(await has(client, descriptor.digest));
    await push(client, name, `${registry.host}/elsewhere/layered:1`);
  });

  describe('verifiers', () => {
    const told = path.join(folder, 'told');
    const verifier = (name: string, script: string): void => {
      mkdirSync(programs, { recursive: true });
      writeFileSync(path.join(programs, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    };
    afterEach(() => rmSync(programs, { recursive: true, force: true }));
    const name = (): string => `${registry.host}/test/layered:1`;
    const refused = async (text: RegExp, kind: 'permission denied' | 'deadline exceeded' | 'failed precondition') => {
      const client = t.inNewNamespace();
      const { message } = await fails(pull(client, name()), kind, text);
      assert.equal(message.includes('\n'), false);
      assert.deepEqual((await client.images.List({})).images, []);
      assert.deepEqual(await collect(client.content.List({})), []);
      assert.deepEqual((await client.content.ListStatuses({})).statuses, []);
      assert.deepEqual((await client.leases.List({})).leases, []);
    };

    it('are told of the image in containerd’s words, and let it in', async () => {
      verifier('a', `echo "$@" >${told}; cat >>${told}`);
      verifier('b', 'exit 0');
      await pull(t.inNewNamespace(), name());
      const [line = '', json = ''] = readFileSync(told, 'utf8').split('\n');
      const { mediaType, digest, size } = layered.manifest;
      const type = 'application/vnd.oci.descriptor.v1+json';
      assert.equal(line, `-name ${name()} -digest ${digest} -stdin-media-type ${type}`);
      assert.deepEqual(JSON.parse(json), { mediaType, digest, size });
    });

    it('refuse it with their reason, and nothing of it stays', async () => {
      verifier('a', 'exit 0');
      verifier('b', 'printf "unsigned,\\nor\\twrongly\\n"; exit 3');
      await refused(
        /blocked pull of \S+ with digest sha256:\w+ for reason: verifier b rejected image \(exit code 3\): unsigned, or wrongly: permission denied$/,
        'permission denied',
      );
    });

    it('that write without end are read to a limit', async () => {
      verifier('a', 'head -c 100000 /dev/zero | tr "\\0" x; head -c 1000000 /dev/zero >&2; exit 1');
      await refused(/x{1000}\(stdout truncated\): permission denied$/, 'permission denied');
    });

    it('beyond the configured number are not asked', async () => {
      verifier('a', 'exit 0');
      verifier('b', 'exit 0');
      verifier('c', 'exit 1');
      await pull(t.inNewNamespace(), name());
    });

    it('that cannot be run, or do not answer, let nothing in', async () => {
      verifier('a', 'exit 0');
      chmodSync(path.join(programs, 'a'), 0o644);
      await refused(/verifiers\/a cannot be run: .*EACCES.*: failed precondition$/, 'failed precondition');
      rmSync(programs, { recursive: true });
      const pid = path.join(folder, 'pid');
      verifier('a', `sleep 1000 & echo $! >${pid}; wait`);
      await refused(/verifiers\/a did not end within 2000 ms and was killed: deadline exceeded$/, 'deadline exceeded');
      await eventually('its children are killed too', () => !running(readFileSync(pid, 'utf8').trim()));
    });

    it('end with the pull that they were asked for', async () => {
      const pid = path.join(folder, 'pid');
      rmSync(pid, { force: true });
      verifier('a', `echo $$ >${pid}; sleep 1000`);
      const controller = new AbortController();
      const pulling = pull(t.inNewNamespace().with({ signal: controller.signal }), name());
      await eventually('it is asked', () => existsSync(pid) && readFileSync(pid, 'utf8') !== '');
      assert.ok(running(readFileSync(pid, 'utf8').trim()));
      controller.abort();
      await fails(pulling, 'canceled');
      await eventually('it is killed', () => !running(readFileSync(pid, 'utf8').trim()));
    });
  });

  it('an image ends when its label says so, and takes everything with it', async () => {
    const client = t.inNewNamespace();
    const name = `${registry.host}/test/layered:1`;
    const expireIn = (ms: number): Record<string, string> => ({
      'containerd.io/gc.expire': new Date(Date.now() + ms).toISOString(),
    });
    await pull(client, name, { labels: expireIn(3_600_000) });
    await collectGarbage(client);
    assert.ok(await has(client, layered.manifest.digest));
    const { image } = await client.images.Get({ name });
    await client.images.Update({
      image: { ...present(image), labels: expireIn(500) },
      update_mask: { paths: ['labels'] },
    });
    await eventually('the image is gone', async () => (await client.images.List({})).images.length === 0);
    await eventually('its manifest is gone', async () => !(await has(client, layered.manifest.digest)));
  });
});

/** A zombie has ended. */
function running(pid: string): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
