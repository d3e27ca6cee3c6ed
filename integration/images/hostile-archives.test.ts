// Archives that mean harm: endless documents, lies, loops, and ends that come early. Through the Transfer
// service, and as `davit load` reads them.
import { strict as assert } from 'node:assert';
import { readFileSync, writeFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { describe, it } from 'mocha';
import type { Client } from '../../client/connect.ts';
import { ClientError } from '../../client/errors.ts';
import { importImages } from '../../client/images/import.ts';
import { withLease } from '../../client/lease.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { collect, fails } from '../harness/expect.ts';
import { described, json, TYPES } from '../harness/fake-registry.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage, ociArchive, sha256 } from '../harness/image.ts';
import { importArchive, importFile } from '../harness/import.ts';
import { tar, type TarEntry } from '../harness/tar.ts';
import { targetOf } from '../harness/target.ts';

const MEBIBYTE = 1024 * 1024;
const LAYOUT: TarEntry = { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' };
const NAME = { annotations: { 'io.containerd.image.name': 'docker.io/test/evil:1' } };
const spaces = (mebibytes: number): Buffer => Buffer.alloc(mebibytes * MEBIBYTE, ' ');

const blob = (bytes: Buffer, name = sha256(bytes)): TarEntry => ({
  name: `blobs/${name.replace(':', '/')}`,
  content: bytes,
});
const index = (...manifests: object[]): TarEntry => ({
  name: 'index.json',
  content: json({ schemaVersion: 2, mediaType: TYPES.index, manifests }),
});

/** An archive of one image whose manifest is this. */
const ofManifest = (manifest: Buffer, ...more: TarEntry[]): readonly TarEntry[] => [
  LAYOUT,
  ...more,
  blob(manifest),
  index(described(TYPES.manifest, manifest, NAME)),
];

const CONFIG = json({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } });
const manifestOf = (more: object): Buffer =>
  json({ schemaVersion: 2, mediaType: TYPES.manifest, config: described(TYPES.config, CONFIG), layers: [], ...more });
const docker = (Layers: readonly string[], ...more: TarEntry[]): readonly TarEntry[] => [
  { name: 'config.json', content: CONFIG },
  ...more,
  { name: 'manifest.json', content: json([{ Config: 'config.json', RepoTags: ['evil:1'], Layers }]) },
];
const link = (name: string, target: string): TarEntry => ({ name, type: 'symlink', target });

type Kind = Parameters<typeof fails>[1];

/** What is refused, in whose words. `load`: what `davit load` says. */
const ARCHIVES: Readonly<Record<string, { entries: readonly TarEntry[]; kind: Kind; text: RegExp; load: RegExp }>> = {
  'CVE-2023-25153: an endless oci-layout': {
    entries: [{ name: 'oci-layout', content: spaces(12) }],
    kind: 'resource exhausted',
    text: /oci-layout: more than 8388608 bytes/,
    load: /oci-layout is larger than 8388608 bytes/,
  },
  'CVE-2023-25153: an endless index.json': {
    entries: [LAYOUT, { name: 'index.json', content: spaces(96) }],
    kind: 'resource exhausted',
    text: /index\.json: more than 8388608 bytes/,
    load: /index\.json is larger than 8388608 bytes/,
  },
  'CVE-2023-25153: an endless manifest.json': {
    entries: [{ name: 'manifest.json', content: spaces(12) }],
    kind: 'resource exhausted',
    text: /manifest\.json: more than 8388608 bytes/,
    load: /manifest\.json is larger than 8388608 bytes/,
  },
  'CVE-2023-25153: an endless manifest': {
    entries: ofManifest(spaces(12)),
    kind: 'resource exhausted',
    text: /a document of 12582912 bytes/,
    load: /larger than 8388608 bytes/,
  },
  'CVE-2021-41190: a manifest that is an index as well': {
    entries: ofManifest(manifestOf({ manifests: [] })),
    kind: 'invalid argument',
    text: /is an index as well/,
    load: /not an image manifest/,
  },
  'digests that are paths': {
    entries: ofManifest(
      manifestOf({ layers: [{ ...described(TYPES.layer, CONFIG), digest: 'sha256:../../x' }] }),
      blob(CONFIG),
    ),
    kind: 'invalid argument',
    text: /digest "sha256:\.\.\/\.\.\/x"/,
    load: /failed validation|digest/,
  },
  'bytes under the digest of others': {
    entries: [LAYOUT, blob(Buffer.from('these'), sha256(Buffer.from('others')))],
    kind: 'failed precondition',
    text: /unexpected commit digest/,
    load: /unexpected commit digest/,
  },
  'files outside the archive': {
    entries: docker(['../../../../etc/passwd']),
    kind: 'invalid argument',
    text: /names "\.\.\/\.\.\/\.\.\/\.\.\/etc\/passwd", which is not there/,
    load: /which is not there/,
  },
  'links that go round': {
    entries: docker(['a'], link('a', 'b'), link('b', 'a')),
    kind: 'invalid argument',
    text: /names "a", which is not there/,
    load: /which is not there/,
  },
  'links to files of the host': {
    entries: docker(['a'], link('a', '/etc/passwd')),
    kind: 'invalid argument',
    text: /names "a", which is not there/,
    load: /which is not there/,
  },
  'names without end': {
    entries: [LAYOUT, { name: 'n'.repeat(5000), content: 'x' }],
    kind: 'invalid argument',
    text: /a name of 4096 bytes or more/,
    load: /a name of 4096 bytes or more/,
  },
  'what is named and not there': {
    entries: ofManifest(manifestOf({})),
    kind: 'not found',
    text: /is named, but not there|is named but not there/,
    load: /named but not there/,
  },
};

(targetOf(process.env) === 'davit' ? describe : describe.skip)('hostile image archives', () => {
  const t = useDaemon();
  const memory = (what: 'VmHWM' | 'VmRSS'): number =>
    1024 * Number(new RegExp(`${what}:\\s+(\\d+)`).exec(readFileSync(`/proc/${t.daemon.pid}/status`, 'utf8'))?.[1]);

  /** Runs `work`, during which the daemon may take so much more memory: collected late, a document of 8 MiB takes 30. */
  async function within(mebibytes: number, work: () => Promise<unknown>): Promise<void> {
    // The peak begins anew: proc(5).
    writeFileSync(`/proc/${t.daemon.pid}/clear_refs`, '5');
    const before = memory('VmRSS');
    await work();
    const more = (memory('VmHWM') - before) / MEBIBYTE;
    assert.ok(more < mebibytes, `${more} MiB more`);
  }

  const load = (client: Client, bytes: Buffer): Promise<unknown> =>
    withLease(client, (leased) =>
      importImages(leased, Readable.from([bytes]), {
        baseName: '',
        onlyBaseName: false,
        digests: false,
        skipDigestForNamed: false,
        compress: false,
        platform: undefined,
      }),
    );

  async function assertNothingLeft(client: Client): Promise<void> {
    assert.deepEqual((await client.images.List({})).images, []);
    assert.deepEqual((await client.leases.List({})).leases, []);
    await collectGarbage(client);
    assert.deepEqual(await collect(client.content.List({})), []);
    assert.deepEqual((await client.content.ListStatuses({})).statuses, []);
  }

  for (const [what, { entries, kind, text, load: said }] of Object.entries(ARCHIVES)) {
    it(what, async () => {
      const plain = tar(entries);
      const archive = gzipSync(plain, { level: 1 });
      const client = t.inNewNamespace();
      await within(64, () => fails(importArchive(client, archive), kind, text));
      await assertNothingLeft(client);
      await within(64, () => fails(importFile(client, plain), kind, text));
      await assertNothingLeft(client);
      const refused = (error: unknown): boolean => error instanceof ClientError && said.test(error.message);
      await within(64, () => assert.rejects(load(client, archive), refused));
    });
  }

  it('more entries than an archive of images has', async () => {
    const header = tar([{ name: 'folder', type: 'directory' }]).subarray(0, 512);
    const plain = Buffer.concat(Array.from({ length: 100_001 }, () => header));
    const client = t.inNewNamespace();
    const packed = gzipSync(plain, { level: 1 });
    for (const work of [() => importFile(client, plain), () => importArchive(client, packed)])
      await within(64, () => fails(work(), 'invalid argument', /more than 100000 entries/));
    await assertNothingLeft(client);
  });

  it('CVE-2021-20291: archives that end early end the import', async () => {
    const plain = ociArchive([busyboxImage()]);
    const whole = gzipSync(plain, { level: 1 });
    const client = t.inNewNamespace();
    for (const kept of [20, 600, whole.length >> 1, whole.length - 9]) {
      await fails(importArchive(client, whole.subarray(0, kept)), 'invalid argument', /^archive: |end|not/);
      await assertNothingLeft(client);
    }
    for (const kept of [20, 600, plain.length >> 1]) {
      await fails(importFile(client, plain.subarray(0, kept)), 'invalid argument', /^archive: |end|not/);
      await assertNothingLeft(client);
    }
    await importArchive(client, whole);
  });
});
