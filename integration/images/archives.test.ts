// Archives through the Transfer service: import, export, tag.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import { before, describe, it } from 'mocha';
import { packMessage } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import { isNotImplemented } from '../../client/errors.ts';
import { openStream } from '../../client/streams.ts';
import { receiveAll } from '../harness/byte-streams.ts';
import { collectGarbage } from '../harness/agreement.ts';
import { collect, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { importArchive, importFile, importNamed, NAMED, TYPES } from '../harness/import.ts';
import { busyboxImage, layeredImage, ociArchive } from '../harness/image.ts';
import { chainId } from '../harness/store.ts';

const PLATFORM = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
describe('archives through the Transfer service', () => {
  const t = useDaemon();
  const layered = layeredImage();
  const busybox = busyboxImage();

  before(async function () {
    try {
      await t.client.transfer.Transfer({ source: { type_url: 'x' }, destination: { type_url: 'x' } });
    } catch (error) {
      if (isNotImplemented(error) && /unknown service/.test(error.message)) this.skip();
    }
  });

  async function exportImage(client: Client, name: string, more: object = {}): Promise<Buffer> {
    const stream = await openStream(client, 'export');
    const received = receiveAll(stream);
    try {
      await client.transfer.Transfer({
        source: packMessage(`${TYPES}.ImageStore`, { name }),
        destination: packMessage(`${TYPES}.ImageExportStream`, { stream: stream.id, platforms: [PLATFORM], ...more }),
      });
      // containerd does not end the stream when all is sent.
      if (t.target === 'containerd') setTimeout(() => stream.call.cancel(), 500);
      return await received;
    } finally {
      stream.call.cancel();
    }
  }

  it('imports all images of an archive, held and unpacked', async () => {
    const client = t.inNewNamespace();
    const unpacks = [{ platform: PLATFORM, snapshotter: 'overlayfs' }];
    await importArchive(client, ociArchive([layered, busybox]), { ...NAMED, unpacks, labels: { color: 'blue' } });
    const { images } = await client.images.List({});
    assert.deepEqual(images.map(({ name }) => name).toSorted(), [busybox.name, layered.name].toSorted());
    assert.deepEqual(images[0]?.labels, { color: 'blue' });
    const { info } = await client.content.Info({ digest: layered.manifest.digest });
    assert.equal(present(info).labels['containerd.io/gc.ref.content.config'], layered.config.digest);
    for (const { layers } of [layered, busybox])
      await client.snapshots.Stat({ snapshotter: 'overlayfs', key: chainId(layers.map(({ diffId }) => diffId)) });
  });

  it('imports an archive from a file as from a stream', async function () {
    if (t.target !== 'davit') this.skip();
    const [streamed, read] = [t.inNewNamespace(), t.inNewNamespace()];
    const store = { ...NAMED, unpacks: [{ platform: PLATFORM, snapshotter: 'overlayfs' }] };
    const archive = ociArchive([layered, busybox]);
    await importArchive(streamed, archive, store);
    await collectGarbage(streamed);
    for (const bytes of [archive, gzipSync(archive, { level: 1 })]) {
      await importFile(read, bytes, store);
      await collectGarbage(read);
      const held = async (client: Client): Promise<unknown> => [
        (await client.images.List({})).images.map(({ name, target }) => [name, target]),
        (await collect(client.content.List({}))).flatMap(({ info }) =>
          info.map(({ digest, labels }) => [digest, labels]),
        ),
        (await collect(client.snapshots.List({ snapshotter: 'overlayfs' })))
          .flatMap(({ info }) => info.map(({ name }) => name))
          .toSorted(),
      ];
      assert.deepEqual(await held(read), await held(streamed));
    }
  });

  it('imports one archive for several at once', async function () {
    if (t.target !== 'davit') this.skip();
    const client = t.inNewNamespace();
    const archive = ociArchive([layered, busybox]);
    await Promise.all([importFile(client, archive), importFile(client, archive), importArchive(client, archive)]);
    assert.equal((await client.images.List({})).images.length, 2);
    assert.deepEqual((await client.content.ListStatuses({})).statuses, []);
  });

  it('reads no file but the one that its client sees', async function () {
    if (t.target !== 'davit') this.skip();
    const client = t.inNewNamespace();
    const folder = mkdtempSync(path.join(tmpdir(), 'davit-test-archive-'));
    try {
      const [file, pipe] = [path.join(folder, 'archive.tar'), path.join(folder, 'pipe')];
      writeFileSync(file, ociArchive([busybox]));
      execFileSync('mkfifo', [pipe]);
      const seen = (what: string) => statSync(what, { bigint: true });
      const { dev, ino } = seen(file);
      for (const [what, as] of [
        [file, { dev, ino: ino + 1n }],
        [file, { dev: dev + 1n, ino }],
        [folder, seen(folder)],
        [pipe, seen(pipe)],
        [`${file}.none`, { dev, ino }],
      ] as const)
        await fails(importNamed(client, what, as), 'not implemented', /does not see as its client does/);
      await fails(importNamed(client, 'archive.tar', { dev, ino }), 'invalid argument', /not absolute/);
      assert.deepEqual((await client.images.List({})).images, []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('exports what can be imported again', async () => {
    const [one, other] = [t.inNewNamespace(), t.inNewNamespace()];
    await importArchive(one, ociArchive([layered]));
    const archive = await exportImage(one, layered.name);
    await importArchive(other, archive);
    const { image } = await other.images.Get({ name: layered.name });
    assert.equal(image?.target?.digest, layered.manifest.digest);
    for (const { descriptor } of layered.layers) await other.content.Info({ digest: descriptor.digest });
  });

  it('gives an image a further name', async () => {
    const client = t.inNewNamespace();
    await importArchive(client, ociArchive([busybox]));
    const tagged = 'docker.io/test/other:2';
    await client.transfer.Transfer({
      source: packMessage(`${TYPES}.ImageStore`, { name: busybox.name }),
      destination: packMessage(`${TYPES}.ImageStore`, { name: tagged }),
    });
    assert.equal((await client.images.Get({ name: tagged })).image?.target?.digest, busybox.manifest.digest);
    const again = packMessage(`${TYPES}.ImageStore`, { name: 'docker.io/test/none:1' });
    await fails(
      client.transfer.Transfer({ source: again, destination: again }),
      'not found',
      /docker\.io\/test\/none:1/,
    );
  });

  it('says what cannot be done', async () => {
    const client = t.inNewNamespace();
    await fails(exportImage(client, 'docker.io/test/none:1'), 'not found');
    if (t.target !== 'davit') return;
    await fails(importArchive(client, Buffer.alloc(10240)), 'invalid argument', /neither an OCI layout nor/);
    await fails(importArchive(client, Buffer.from('rubbish'.repeat(1000))), 'invalid argument', /^archive: /);
    const stream = packMessage(`${TYPES}.ImageImportStream`, { stream: 'nobody' });
    const store = packMessage(`${TYPES}.ImageStore`, NAMED);
    await fails(client.transfer.Transfer({ source: stream, destination: store }), 'not found', /stream "nobody"/);
    await fails(client.transfer.Transfer({ source: store, destination: stream }), 'not implemented');
    const { leases } = await client.leases.List({});
    assert.deepEqual(leases, []);
  });
});
