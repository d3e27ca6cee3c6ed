import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'mocha';
import { thermalEvents } from './build.ts';

describe('cli: what a container is not to see', () => {
  it('finds the thermal events of the processors that count them', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'davit-processors-'));
    try {
      for (const name of [
        'cpu0/thermal_throttle',
        'cpu1/topology',
        'cpu12/thermal_throttle',
        'cpufreq/thermal_throttle',
      ])
        mkdirSync(path.join(folder, name), { recursive: true });
      const found = ['cpu0', 'cpu12'].map((name) => path.join(folder, name, 'thermal_throttle'));
      assert.deepEqual(thermalEvents(folder).toSorted(), found);
      assert.deepEqual(thermalEvents(path.join(folder, 'absent')), []);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
