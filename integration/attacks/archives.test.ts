// Hostile layers: bombs, floods and lies. Each ends with the right error or costs in proportion to its size,
// and the daemon's memory stays where it was. Costs are the processor's time of the daemon, not the clock's.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { before, beforeEach, describe, it } from 'mocha';
import { gzipSync } from 'node:zlib';
import type { Client } from '../../client/connect.ts';
import { fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { putBlob } from '../harness/store.ts';
import { targetOf } from '../harness/target.ts';
import { tar, type TarEntry } from '../harness/tar.ts';

const MEBIBYTE = 1024 * 1024;
const GZIP = 'application/vnd.oci.image.layer.v1.tar+gzip';
const ZSTD = 'application/vnd.oci.image.layer.v1.tar+zstd';
const snapshotter = 'overlayfs';
const CONFIG = `
[plugins."io.davit.unpack.v1"]
max_layer_size = ${16 * MEBIBYTE}
max_layer_entries = 5000
`;

const zstd = (input: Buffer): Buffer => execFileSync('zstd', ['-q', '-c'], { input });
const many = (count: number, make: (at: number) => TarEntry): TarEntry[] =>
  Array.from({ length: count }, (_, at) => make(at));
const deep = 'd/'.repeat(400);

/** Layers that a careless unpacker takes quadratic time for, by their size. */
const FLOODS: Readonly<Record<string, (size: number) => TarEntry[]>> = {
  'deep paths': (size) => many(size, (at) => ({ name: `${deep}${at}`, content: '' })),
  'hard links to one file': (size) => [
    { name: 'file', content: 'x' },
    ...many(size, (at) => ({ name: `link-${at}`, type: 'hardlink' as const, target: 'file' })),
  ],
  'whiteouts of one directory': (size) => many(size, (at) => ({ name: `d/.wh.${at}`, content: '' })),
  'opaque marks in a full directory': (size) => [
    ...many(size / 2, (at) => ({ name: `d/${at}`, content: '' })),
    ...many(size / 2, () => ({ name: 'd/.wh..wh..opq', content: '' })),
  ],
  'one name again and again': (size) =>
    many(size, (at) => ({ name: 'd/e', type: at % 2 === 0 ? ('directory' as const) : ('file' as const) })),
  'links to links': (size) => [
    { name: 'l0', type: 'directory' },
    ...many(30, (at) => ({ name: `l${at + 1}`, type: 'symlink' as const, target: `l${at}` })),
    ...many(size, (at) => ({ name: `l30/${at}`, content: '' })),
  ],
  attributes: (size) =>
    many(size / 10, (at) => ({
      name: `f${at}`,
      content: '',
      xattrs: Object.fromEntries(many(10, () => ({ name: '' })).map((_, key) => [`user.a${key}`, 'x'.repeat(50)])),
    })),
};

describe('hostile archives', () => {
  // In memory: what ext4 takes for a name depends on what was deleted just before.
  const fixture = useDaemon(targetOf(process.env) === 'davit' ? { config: CONFIG, parent: '/dev/shm' } : {});
  let client: Client;
  let next = 0;

  before(async () => {
    const { lease } = await fixture.client.leases.Create({ id: 'archives' });
    client = fixture.client.with({ namespace: fixture.client.namespace, lease: present(lease).id });
  });
  beforeEach(function () {
    davitOnly(this, fixture.target, 'limits are configured');
  });

  const proc = (file: string): string => readFileSync(`/proc/${fixture.daemon.pid}/${file}`, 'utf8');
  const peak = (): number => Number(/VmHWM:\s+(\d+)/.exec(proc('status'))?.[1]) * 1024;
  /** User and system time of all threads, in milliseconds. */
  const spent = (): number => {
    const fields = proc('stat').split(') ')[1]?.split(' ') ?? [];
    return 10 * (Number(fields[11]) + Number(fields[12]));
  };

  /** Applies a layer to an empty snapshot; resolves with the time that took the daemon. */
  async function apply(bytes: Buffer, media_type = GZIP): Promise<number> {
    const digest = await putBlob(client, bytes);
    const key = `hostile-${++next}`;
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key });
    const before = spent();
    try {
      await client.diff.Apply({ diff: { media_type, digest, size: String(bytes.length) }, mounts });
      return spent() - before;
    } finally {
      await client.snapshots.Remove({ snapshotter, key });
    }
  }

  it('bombs end at the limit, in little memory', async () => {
    const bomb = tar([{ name: 'zeros', content: Buffer.alloc(80 * MEBIBYTE) }]);
    const before = peak();
    await fails(apply(gzipSync(bomb)), 'resource exhausted', /content is larger than the limit of 16777216/);
    await fails(apply(zstd(bomb), ZSTD), 'resource exhausted', /content is larger than the limit/);
    const twice = gzipSync(gzipSync(bomb, { level: 1 }));
    await fails(apply(twice), 'invalid argument', /tar/);
    const flood = tar(many(5001, (at) => ({ name: `f${at}`, content: '' })));
    await fails(apply(gzipSync(flood)), 'resource exhausted', /more entries than 5000/);
    assert(peak() - before < 32 * MEBIBYTE, `${(peak() - before) / MEBIBYTE} MiB more`);
  });

  it('archives that end early or lie are refused', async () => {
    const whole = tar([{ name: 'noise', content: execFileSync('head', ['-c', '300000', '/dev/urandom']) }]);
    for (const [bytes, type] of [
      [gzipSync(whole), GZIP],
      [zstd(whole), ZSTD],
    ] as const) {
      for (const kept of [20, 1000, bytes.length >> 1, bytes.length - 4])
        await fails(apply(bytes.subarray(0, kept), type), 'invalid argument', /end|tar|corrupt|truncated|incomplete/i);
    }
    const huge: TarEntry = { name: 'f', content: '', xattrs: { 'user.a': 'x'.repeat(2 * MEBIBYTE) } };
    await fails(apply(gzipSync(tar([huge]))), 'resource exhausted', /extended header is larger than 1 MiB/);
    await fails(apply(gzipSync(tar([{ name: 'd/'.repeat(1500), type: 'directory' }]))), 'unknown', /too deep/);
  });

  /** The least of three, as others' work on this machine costs these processes time, too. */
  async function cost(make: (size: number) => TarEntry[], size: number): Promise<number> {
    const layer = gzipSync(tar(make(size)));
    return Math.min(await apply(layer), await apply(layer), await apply(layer));
  }

  for (const [name, make] of Object.entries(FLOODS)) {
    it(`cost in proportion to their size: ${name}`, async () => {
      const small = 800;
      const first = await cost(make, small);
      const fourfold = await cost(make, 4 * small);
      // Sixteen times as much would be quadratic. The time has a grain.
      assert(fourfold < 9 * Math.max(first, 30), `${first} ms for ${small}, ${fourfold} ms for ${4 * small}`);
    });
  }
});
