import assert from 'node:assert/strict';
import { describe, it } from 'mocha';
import { NO_LABELS } from '../lib/labels.ts';
import { createMeasurer } from './measure.ts';

const tree = (id: string) => ({ id, kind: 'active', parents: [], labels: NO_LABELS }) as const;

describe('measuring active snapshots', () => {
  let now = 0;
  let walks: string[] = [];
  const start = (cost: number, inodes = 5000) => {
    now = 0;
    walks = [];
    return createMeasurer(
      {
        usage({ id }) {
          walks.push(id);
          now += cost;
          if (id === 'broken') return Promise.reject(new Error('broken'));
          return Promise.resolve({ size: walks.length, inodes });
        },
      },
      () => now,
    );
  };

  it('takes a small share of the time, however often somebody asks', async () => {
    const measurer = start(100);
    for (; now < 100_000; now += 10) await measurer.usage(tree('a'));
    assert.ok(walks.length * 100 < 0.06 * now, `${walks.length} walks of 100 ms in ${now} ms`);
    assert.ok(walks.length * 100 > 0.03 * now, 'and is not forgotten');
  });

  it('waits its turn when there are many', async () => {
    const measurer = start(100);
    const ids = Array.from({ length: 50 }, (_, at) => String(at));
    for (; now < 1_000_000; now += 1000) await Promise.all(ids.map((id) => measurer.usage(tree(id))));
    assert.ok(walks.length * 100 < 0.1 * now, `${walks.length} walks of 100 ms in ${now} ms`);
  });

  it('is done each time for a small tree', async () => {
    const measurer = start(100, 10);
    await measurer.usage(tree('a'));
    assert.deepEqual(await measurer.usage(tree('a')), { size: 2, inodes: 10 });
  });

  it('is done once for all who ask at the same time, and again after a failure', async () => {
    const measurer = start(0);
    await Promise.all([measurer.usage(tree('a')), measurer.usage(tree('a'))]);
    assert.deepEqual(walks, ['a']);
    now += 1;
    await measurer.usage(tree('a'));
    measurer.retain(new Set(['b']));
    await measurer.usage(tree('a'));
    assert.equal(walks.length, 3);
    await assert.rejects(measurer.usage(tree('broken')), /broken/);
    await assert.rejects(measurer.usage(tree('broken')), /broken/);
    assert.equal(walks.length, 5);
  });
});
