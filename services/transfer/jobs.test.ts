import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { createJobs } from './jobs.ts';
import { together } from './together.ts';

const never = new AbortController().signal;

describe('jobs', () => {
  it('are done once for all who want them at the same time', async () => {
    const jobs = createJobs();
    let done = 0;
    const work = async (): Promise<void> => {
      await sleep(5);
      done++;
    };
    const mine = await Promise.all([1, 2, 3].map(() => jobs.run('a', never, work)));
    assert.deepEqual([mine, done], [[true, false, false], 1]);
    assert.equal(await jobs.run('a', never, work), true, 'later it is done again');
  });

  it('go to the next one when the first gives up', async () => {
    const jobs = createJobs();
    const first = jobs.run('a', never, async () => {
      await sleep(5);
      throw new Error('cancelled');
    });
    const second = jobs.run('a', never, () => sleep(1));
    await assert.rejects(first, /cancelled/);
    assert.equal(await second, true);
  });

  it('let go of who does not want to wait any more', async () => {
    const jobs = createJobs();
    const gone = new AbortController();
    const first = jobs.run('a', never, () => sleep(20));
    const second = jobs.run('a', gone.signal, () => sleep(1));
    gone.abort(new Error('gone'));
    await assert.rejects(second, /gone/);
    assert.equal(await first, true);
  });
});

describe('works that belong together', () => {
  it('stop when one fails, and have all ended then', async () => {
    let ended = false;
    const failing = together(never, [
      () => Promise.reject(new Error('first')),
      async (signal) => {
        await sleep(5);
        ended = true;
        signal.throwIfAborted();
      },
    ]);
    await assert.rejects(failing, /first/);
    assert.ok(ended);
  });
});
