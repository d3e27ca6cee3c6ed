import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { createJobs } from './jobs.ts';
import { createLimit } from './limit.ts';
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

describe('a limit', () => {
  it('lets so many work at a time, in order', async () => {
    const limit = createLimit(2);
    let now = 0;
    let most = 0;
    const order: number[] = [];
    const work = (at: number) => async () => {
      order.push(at);
      most = Math.max(most, ++now);
      await sleep(2);
      now--;
    };
    await Promise.all([0, 1, 2, 3, 4].map((at) => limit.run(never, work(at))));
    assert.deepEqual([most, order], [2, [0, 1, 2, 3, 4]]);
  });

  it('keeps its room when somebody fails or leaves', async () => {
    const limit = createLimit(1);
    await assert.rejects(
      limit.run(never, () => Promise.reject(new Error('failed'))),
      /failed/,
    );
    const gone = new AbortController();
    const first = limit.run(never, () => sleep(10));
    const second = limit.run(gone.signal, () => sleep(1));
    gone.abort(new Error('gone'));
    await assert.rejects(second, /gone/);
    await first;
    await limit.run(never, () => Promise.resolve());
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
