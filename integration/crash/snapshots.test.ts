// Snapshots when the daemon is killed at any moment: what was answered is there, and no tree is left
// without a record.
import { strict as assert } from 'node:assert';
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, it } from 'mocha';
import { connect, type Client } from '../../client/connect.ts';
import { createDaemon, type Daemon } from '../harness/daemon.ts';
import { eventually } from '../harness/expect.ts';

const KEEP = { 'containerd.io/gc.root': 'now' };

for (const [snapshotter, counts] of [
  ['overlayfs', [10, 40, 90]],
  ['erofs', [40]],
] as const)
  describe(`snapshots of a killed daemon on ${snapshotter}`, () => {
    let daemon: Daemon;
    before(async () => {
      daemon = createDaemon({ target: 'davit' });
      await daemon.start();
    });
    after(async () => {
      await daemon.stop();
      daemon.remove();
    });

    const trees = (): Promise<string[]> => readdir(path.join(daemon.root, `snapshots/${snapshotter}/snapshots`));

    async function names(client: Client): Promise<Set<string>> {
      const found = new Set<string>();
      for await (const { info } of client.snapshots.List({ snapshotter })) for (const one of info) found.add(one.name);
      return found;
    }

    /** Makes, commits and removes until the connection breaks; tells what was acknowledged last about each name. */
    async function load(
      client: Client,
      worker: number,
      state: Map<string, 'there' | 'gone' | 'unknown'>,
    ): Promise<void> {
      for (let round = 0; ; round++) {
        const [key, name] = [`key-${worker}-${round}`, `name-${worker}-${round}`];
        try {
          state.set(key, 'unknown');
          await client.snapshots.Prepare({ snapshotter, key, labels: KEEP });
          state.set(key, 'there');
          if (round % 3 === 0) continue;
          state.set(key, 'unknown').set(name, 'unknown');
          await client.snapshots.Commit({ snapshotter, key, name, labels: KEEP });
          state.set(key, 'gone').set(name, 'there');
          if (round % 3 === 1) continue;
          state.set(name, 'unknown');
          await client.snapshots.Remove({ snapshotter, key: name });
          state.set(name, 'gone');
        } catch {
          return;
        }
      }
    }

    for (const count of counts) {
      it(`after ${count} snapshots`, async function () {
        this.timeout(60_000);
        const namespace = `crash-${count}`;
        const busy = connect(daemon.address, { namespace });
        await busy.namespaces.List({});
        const state = new Map<string, 'there' | 'gone' | 'unknown'>();
        const workers = [1, 2, 3, 4].map((worker) => load(busy, worker, state));
        await eventually(`${count} snapshots`, () => state.size >= count, 30_000);
        await daemon.kill();
        await Promise.all(workers);
        busy.close();
        await mkdir(path.join(daemon.root, `snapshots/${snapshotter}/snapshots/999999/fs/left`), { recursive: true });

        await daemon.start();
        const client = connect(daemon.address, { namespace });
        try {
          const there = await names(client);
          for (const [name, expected] of state) {
            if (expected !== 'unknown')
              assert.equal(there.has(name), expected === 'there', `${name} should be ${expected}`);
          }
          await client.snapshots.Cleanup({ snapshotter });
          const left = await trees();
          assert.equal(left.length, there.size, `${left.length} trees for ${there.size} snapshots`);
          assert(!left.includes('999999'));
          for (const key of there) await client.snapshots.Remove({ snapshotter, key });
          await client.snapshots.Cleanup({ snapshotter });
          assert.deepEqual(await trees(), []);
        } finally {
          client.close();
        }
      });
    }
  });
