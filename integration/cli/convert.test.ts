// davit images convert beyond what ctr has (interop/checks/convert.sh): other compressions, and being stopped.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { before, describe, it } from 'mocha';
import { readBlob } from '../../client/images/content.ts';
import { hostPlatform } from '../../client/images/platform.ts';
import { imageTarget, readImage } from '../../client/images/resolve.ts';
import { davitCommand } from '../harness/davit.ts';
import { useDaemon } from '../harness/fixture.ts';
import { LAYERED_CHECK, layeredImage, ociArchive } from '../harness/image.ts';
import { targetOf } from '../harness/target.ts';

const IMAGE = 'docker.io/test/layered:latest';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const MAGIC = { zstd: '28b52ffd', gzip: '1f8b' } as const;

describe('davit images convert', function () {
  this.timeout(60_000);
  const t = useDaemon();
  const davit = davitCommand(t);

  before('import an image', () => {
    davit.ok(['images', 'import', '--no-unpack', '-'], ociArchive([layeredImage()]));
  });

  const imageOf = async (name: string) => await readImage(t.client, await imageTarget(t.client, name), hostPlatform());

  it('compresses layers anew, with the same files', async () => {
    const old = await imageOf(IMAGE);
    davit.ok(['images', 'convert', '--uncompress', IMAGE, 'docker.io/test/plain:1']);
    for (const compression of ['gzip', 'zstd'] as const) {
      // containerd 1.6 unpacks zstd with a program that is not there.
      if (compression === 'zstd' && targetOf(process.env) === 'containerd') continue;
      const name = `docker.io/test/${compression}:1`;
      const { status, stderr } = davit.run(['images', 'convert', `--${compression}`, 'docker.io/test/plain:1', name]);
      assert.equal(status, 0, stderr);
      assert.match(stderr, /^layer [0-9a-f]{12}: complete \(.*\)$/m);
      const { manifest, config } = await imageOf(name);
      assert.deepEqual(config, old.config);
      for (const layer of manifest.layers) {
        assert.equal(layer.mediaType, `${LAYER}+${compression}`);
        const chunks: Buffer[] = [];
        for await (const chunk of readBlob(t.client, layer.digest)) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        assert.equal(bytes.length, layer.size);
        assert.ok(bytes.toString('hex').startsWith(MAGIC[compression]));
      }
      assert.equal(davit.ok(['run', '--rm', name, compression, 'sh', '-c', LAYERED_CHECK]), 'ok\n');
    }
    const refused = davit.run(['images', 'convert', '--gzip', '--zstd', IMAGE, 'x']);
    assert.match(refused.stderr, /exclude each other/);
  });

  it('leaves nothing when it is interrupted', async () => {
    const blobs = async (): Promise<number> => {
      let count = 0;
      for await (const { info } of t.client.content.List({})) count += info.length;
      return count;
    };
    const temporary = (): string[] => readdirSync('/tmp').filter((name) => /^davit-[0-9a-f]{16}$/.test(name));
    const before = await blobs();
    const child = davit.start(['images', 'convert', '--uncompress', IMAGE, 'docker.io/test/stopped:1']);
    const ended = once(child, 'exit') as Promise<[number | null]>;
    // The first layer is done: there is something to clear away.
    await once(child.stderr, 'data');
    child.kill('SIGINT');
    const [status] = await ended;
    if (status === 0) davit.ok(['rmi', '--sync', 'docker.io/test/stopped:1']);
    else assert.equal(status, 130);
    assert.equal((await t.client.leases.List({})).leases.length, 0);
    // Removing an image collects what nobody holds.
    davit.ok(['tag', IMAGE, 'docker.io/test/again:1']);
    davit.ok(['rmi', '--sync', 'docker.io/test/again:1']);
    assert.equal(await blobs(), before);
    assert.deepEqual(temporary(), []);
  });
});
