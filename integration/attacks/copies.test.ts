// Copying files out of and into a container (davit cp) while it changes them. COPY_ROUNDS copies per race.
import { strict as assert } from 'node:assert';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { readPath, writePath, type ContainerPath } from '../../client/copy.ts';
import { ClientError } from '../../client/errors.ts';
import { useDaemon } from '../harness/fixture.ts';
import { putImage } from '../harness/store.ts';
import { tar } from '../harness/tar.ts';
import { targetOf } from '../harness/target.ts';
import { createCanary, evilImage, type Canary } from './attacker.ts';
import { attacker, type Attacker } from './running.ts';

const ROUNDS = Number(process.env['COPY_ROUNDS'] ?? 12);

// containerd 1.6 has no Transfer service.
(targetOf(process.env) === 'davit' ? describe : describe.skip)('attacks: copies', function () {
  this.timeout(90_000);
  const t = useDaemon();
  let canary: Canary;
  let evil: Attacker | undefined;

  beforeEach(() => (canary = createCanary()));
  afterEach(async () => {
    await evil?.stop();
    evil = undefined;
    canary.remove();
  });

  /** Starts the attacker with /a, a folder of two files, and what else the script makes; then swaps. */
  async function start(script: string): Promise<string> {
    const image = evilImage('copies');
    await putImage(t.client, image);
    const setup = `mkdir -p /a/sub; echo mine >/a/secret; echo mine >/a/sub/secret; ${script}`;
    evil = await attacker(t.client, image, ['sh', '-c', `${setup}; exec probe swap "$0" "$1"`, ...swapped]);
    await evil.output.waitFor(/swapping/);
    return evil.id;
  }
  let swapped: readonly [string, string] = ['/a', '/b'];

  async function read(place: ContainerPath): Promise<string | undefined> {
    const chunks: Buffer[] = [];
    try {
      for await (const chunk of readPath(t.client, place)) chunks.push(chunk);
      return Buffer.concat(chunks).toString('latin1');
    } catch (error) {
      assert.ok(error instanceof ClientError, String(error));
      return undefined;
    }
  }
  async function write(place: ContainerPath, name: string): Promise<boolean> {
    const archive = tar([
      { name, type: 'directory', mode: 0o777 },
      { name: `${name}/secret`, content: 'written', mode: 0o666 },
      { name: 'planted', content: 'planted' },
    ]);
    try {
      await writePath(
        t.client,
        place,
        (async function* () {
          yield archive;
        })(),
        true,
      );
      return true;
    } catch (error) {
      assert.ok(error instanceof ClientError, String(error));
      return false;
    }
  }

  /** Copies in both directions, again and again; the host stays what it was. */
  async function race(container: string): Promise<void> {
    let [reads, writes] = [0, 0];
    for (let round = 0; round < ROUNDS; round++) {
      for (const place of ['/a/secret', '/a', '/a/', '/a/sub']) {
        const archive = await read({ container, path: place });
        if (archive === undefined) continue;
        reads++;
        assert.ok(!archive.includes(canary.text), `${place}: the host's secret was copied`);
      }
      for (const [place, name] of [
        ['/a', 'outside'],
        ['/', 'a'],
        ['/a/sub', 'x'],
      ] as const)
        if (await write({ container, path: place }, name)) writes++;
      canary.check();
    }
    // A race that nobody ever got through would show nothing.
    assert.ok(reads > 0 && writes > 0, `${reads} reads, ${writes} writes`);
    process.stdout.write(`      ${reads} reads and ${writes} writes came through\n`);
  }

  it('CVE-2018-15664: a folder that becomes a link to the host', async () => {
    swapped = ['/a', '/b'];
    await race(await start(`ln -s ${canary.directory} /b`));
  });

  it('CVE-2018-15664: a folder that becomes a link up and out', async () => {
    swapped = ['/a', '/b'];
    await race(await start(`ln -s ../../../../../../../..${canary.directory} /b`));
  });

  it('CVE-2026-42306: a folder within one that is copied becomes a link', async () => {
    swapped = ['/a/sub', '/b'];
    await race(await start(`ln -s ${canary.directory} /b`));
  });

  it('a file that becomes a FIFO, or a device, is neither waited for nor opened', async () => {
    swapped = ['/a/secret', '/a/other'];
    const container = await start('mknod /a/other p');
    for (let round = 0; round < ROUNDS; round++) await read({ container, path: '/a' });
    await evil?.stop();
    const again = await start('mknod /a/other c 5 2');
    for (let round = 0; round < ROUNDS; round++) await read({ container: again, path: '/a/secret' });
  });

  it('CVE-2019-14271: links and the files of processes that lead out of it', async () => {
    swapped = ['/a', '/b'];
    const container = await start(`mkdir /b; ln -s ${canary.secret} /link; ln -s /proc/1/root${canary.secret} /magic`);
    const out = [canary.secret, `/proc/1/root${canary.secret}`, `/proc/1/cwd${canary.secret}`, '/link/', '/magic/'];
    for (const place of [...out, `../../../..${canary.secret}`])
      assert.equal((await read({ container, path: place }))?.includes(canary.text) ?? false, false, place);
    for (const place of [canary.outside, `/proc/1/root${canary.outside}`, `/../../..${canary.outside}`])
      assert.equal(await write({ container, path: place }, 'x'), false, place);
    canary.check();
  });

  it('CVE-2026-41567: programs in the container are not run, names in archives do not climb', async () => {
    swapped = ['/a', '/b'];
    const trap =
      'mkdir /b; for x in xz unpigz gzip tar; do printf "#!/bin/sh\\ntouch /ran" >/bin/$x; chmod 755 /bin/$x; done';
    const container = await start(trap);
    const archive = tar([
      { name: `../../../../../..${canary.outside}/x`, content: 'x' },
      { name: 'up', type: 'symlink', target: canary.outside },
      { name: 'up/y', content: 'y' },
    ]);
    await writePath(
      t.client,
      { container, path: '/tmp' },
      (async function* () {
        yield archive;
      })(),
      false,
    ).catch(() => undefined);
    canary.check();
    assert.deepEqual(readdirSync(canary.outside), []);
    assert.ok(!existsSync(path.join(`/proc/${evil?.pid}/root`, 'ran')));
  });
});
