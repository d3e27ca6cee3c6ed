// Commands that take long: they say how far they are, and leave nothing half done when they are interrupted.
import { strict as assert } from 'node:assert';
import { execFileSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as sleep } from 'node:timers/promises';
import { after, afterEach, describe, it } from 'mocha';
import { davitCommand } from '../harness/davit.ts';
import { collect, eventually } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { layeredImage, ociArchive } from '../harness/image.ts';
import { targetOf } from '../harness/target.ts';

/** Longer than what commands keep silent for. */
const LONG_MS = 1200;
/** The end of the archive, without which it is none. */
const MISSING = 2048;

(targetOf(process.env) === 'davit' ? describe : describe.skip)('davit commands that take long', () => {
  const t = useDaemon();
  const davit = davitCommand(t);
  const folder = mkdtempSync('/tmp/davit-progress-');
  const image = layeredImage();
  const archive = ociArchive([image]);

  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  /** `davit load` that has read almost all of the archive. */
  const halfLoaded = async () => {
    const child = davit.start(['load']);
    children.push(child);
    child.stdin.on('error', () => undefined);
    child.stdin.write(archive.subarray(0, -MISSING));
    const ended = once(child, 'close') as Promise<[number | null]>;
    const said = Promise.all([text(child.stdout), text(child.stderr)]);
    await eventually('it has begun', async () => (await t.client.leases.List({})).leases.length > 0);
    return { child, ended, said };
  };

  it('let go of what they have stored when they are interrupted', async () => {
    const { client } = t;
    const { child, ended, said } = await halfLoaded();
    await eventually('something is stored', async () => (await collect(client.content.List({}))).length > 0);
    child.kill('SIGINT');
    assert.equal((await ended)[0], 130);
    assert.deepEqual(await said, ['', '']);
    assert.deepEqual((await client.leases.List({})).leases, []);
    assert.deepEqual((await client.images.List({})).images, []);
  });

  it('say in lines what is done where there is no terminal', async () => {
    const { child, ended, said } = await halfLoaded();
    await sleep(LONG_MS);
    child.stdin.end(archive.subarray(-MISSING));
    assert.deepEqual((await ended)[0], 0);
    const [stdout, stderr] = await said;
    assert.equal(stdout, `unpacking ${image.name} (${image.manifest.digest})...done\n`);
    const layers = image.layers.map(({ descriptor }) => descriptor.digest.slice(7, 19));
    assert.deepEqual(
      stderr.split('\n').map((line) => /^layer (\w+): extracted \(/.exec(line)?.[1] ?? line),
      [...layers, ''],
    );
    assert.equal(davit.run(['load'], archive).stderr, '', 'what is quick says nothing');
  });

  it('show bars on a terminal, and end with ^C at once also when nobody reads what they write', () => {
    davit.ok(['load'], archive);
    const fifo = path.join(folder, 'fifo');
    execFileSync('mkfifo', [fifo]);
    const reader = openSync(fifo, constants.O_RDWR);
    try {
      const steps = ['wait:layer [0-9a-f]{12} +writing +\\[=* *\\] .* / ', 'key:c'];
      const { status, stdout } = davit.onTerminal(steps, ['save', '--output', fifo, image.name]);
      assert.equal(status, 130, stdout);
      assert.doesNotMatch(stdout, /Error|davit:/);
    } finally {
      closeSync(reader);
    }
    assert.deepEqual(readdirSync(folder), ['fifo']);
  });
});
