// A volume whose links move while another container's mounts are made on it. RACE_ROUNDS containers
// are started per race, each with several places where the race may be lost.
import { strict as assert } from 'node:assert';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import { type ContainerOptions } from '../harness/container.ts';
import { useDaemon } from '../harness/fixture.ts';
import { davitOnly } from '../harness/only.ts';
import { putImage } from '../harness/store.ts';
import { attempt, bind, createCanary, evilImage, tmpfs, type Canary } from './attacker.ts';
import { attacker } from './running.ts';

const ROUNDS = Number(process.env['RACE_ROUNDS'] ?? 12);
const PLACES = [0, 1, 2, 3, 4, 5, 6, 7];

interface Race {
  readonly id: string;
  readonly what: string;
  /** Where the link points that takes turns with a folder at /v/a. */
  readonly target: (canary: Canary) => string;
  readonly victim: (round: number) => ContainerOptions;
  /** What the victim prints; a refusal is as good. */
  readonly script: string;
  readonly expected: RegExp;
  readonly oldRunc?: string;
}

const RACES: readonly Race[] = [
  {
    id: 'CVE-2021-30465, CVE-2024-45310',
    what: 'destinations that are made and mounted on',
    target: ({ outside }) => outside,
    victim: (round) => ({
      mounts: PLACES.map((place) => {
        if (place % 3 === 0) return bind('/etc/hostname', `/v/a/f${round}-${place}`);
        return { ...tmpfs(place % 3 === 1 ? `/v/a/deep${round}/t${place}` : '/v/a'), source: 'attack' };
      }),
    }),
    // One that was mounted on the host's folder is not among the container's own.
    script: 'grep -c "^attack " /proc/mounts',
    expected: /^5\n$/,
    oldRunc: 'makes folders on the host',
  },
  {
    id: 'CVE-2025-52881',
    what: 'a destination that becomes /proc',
    target: () => '/proc',
    victim: () => ({
      mounts: PLACES.map(() => tmpfs('/v/a/sys/kernel')),
      linux: { sysctl: { 'kernel.shm_rmid_forced': '1' } },
    }),
    script: 'grep -c "^tmpfs /proc/sys" /proc/mounts; cat /proc/sys/kernel/shm_rmid_forced',
    expected: /^0\n1\n$/,
    oldRunc: 'checks by path',
  },
  {
    id: 'CVE-2026-41579',
    what: 'a folder of device nodes',
    target: ({ outside }) => outside,
    victim: (round) => ({
      linux: { devices: PLACES.map((place) => ({ path: `/v/a/n${round}-${place}`, type: 'c', major: 1, minor: 3 })) },
    }),
    script: 'echo ran',
    expected: /^ran\n$/,
    oldRunc: 'resolves paths of devices by name',
  },
];

describe('attacks: races on a shared volume', function () {
  this.timeout(90_000);
  const t = useDaemon();
  let canary: Canary;

  beforeEach(() => (canary = createCanary()));
  afterEach(() => canary.remove());

  for (const race of RACES) {
    it(`${race.id}: ${race.what}`, async function () {
      if (race.oldRunc !== undefined) davitOnly(this, t.target, `runc 1.1.5 ${race.oldRunc}`);
      const image = evilImage('race');
      await putImage(t.client, image);
      const volume = mkdtempSync('/tmp/davit-volume-');
      mkdirSync(path.join(volume, 'a'));
      symlinkSync(race.target(canary), path.join(volume, 'b'));
      const racer = await attacker(t.client, image, ['probe', 'swap', '/v/a', '/v/b'], {
        mounts: [bind(volume, '/v')],
      });
      try {
        await racer.output.waitFor(/swapping/);
        let ran = 0;
        for (let round = 0; round < ROUNDS; round += 1) {
          const { mounts = [], ...options } = race.victim(round);
          const got = await attempt(t.client, image, ['sh', '-c', race.script], {
            mounts: [bind(volume, '/v'), ...mounts],
            ...options,
          });
          canary.check();
          if (got.refused !== undefined) continue;
          ran += 1;
          assert.match(got.stdout, race.expected);
        }
        process.stdout.write(`      ${ran} of ${ROUNDS} ran, the others were refused\n`);
      } finally {
        await racer.stop();
        rmSync(volume, { recursive: true, force: true });
      }
    });
  }
});
