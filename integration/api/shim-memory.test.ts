// What a container costs while it does nothing.
import { strict as assert } from 'node:assert';
import { before, describe, it } from 'mocha';
import { setTimeout as sleep } from 'node:timers/promises';
import { exec, startContainer } from '../harness/container.ts';
import { removeTask } from '../harness/cleanup.ts';
import { useDaemon } from '../harness/fixture.ts';
import { busyboxImage } from '../harness/image.ts';
import { memoryOf, parentOf } from '../harness/procfs.ts';
import { putImage } from '../harness/store.ts';

/** KiB; docs/architecture.md asks for 2 MiB resident at most. */
const LIMIT = 2048;

describe('memory of a shim', () => {
  const t = useDaemon();
  const image = busyboxImage();

  before(() => putImage(t.client, image));

  async function measure(what: string, id: string): Promise<void> {
    const { process } = await t.client.tasks.Get({ container_id: id });
    const memory = memoryOf(parentOf(process?.pid ?? 0));
    console.log(`      ${what}: ${memory.resident} KiB resident, ${memory.private} KiB private`);
    if (t.target === 'davit')
      assert.ok(memory.resident <= LIMIT, `${memory.resident} KiB resident, at most ${LIMIT} allowed`);
  }

  it('with a sleeping container', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    await sleep(300);
    await measure('idle', id);
    await removeTask(t.client, id);
  });

  it('after a hundred execs', async () => {
    const id = await startContainer(t.client, image, ['sleep', '1000']);
    for (let round = 0; round < 10; round += 1) {
      await Promise.all(Array.from({ length: 10 }, () => exec(t.client, id, ['echo', 'x'])));
    }
    await measure('after 100 execs', id);
    await removeTask(t.client, id);
  });
});
