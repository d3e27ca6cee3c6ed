import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import { createLimit } from './limit.ts';

const never = new AbortController().signal;

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
    await Promise.all([0, 1, 2, 3, 4].map((at) => limit(work(at), never)));
    assert.deepEqual([most, order], [2, [0, 1, 2, 3, 4]]);
  });

  it('keeps its room when somebody fails or leaves', async () => {
    const limit = createLimit(1);
    await assert.rejects(
      limit(() => Promise.reject(new Error('failed')), never),
      /failed/,
    );
    const gone = new AbortController();
    const first = limit(() => sleep(10), never);
    const second = limit(() => sleep(1), gone.signal);
    gone.abort(new Error('gone'));
    await assert.rejects(second, /gone/);
    await first;
    await limit(() => Promise.resolve());
  });
});
