// The rows of the table, in the order of the budgets in docs/architecture.md.
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isNotFound } from '../client/errors.ts';
import { removeTask } from '../integration/harness/cleanup.ts';
import { createContainer, startContainer, uniqueId } from '../integration/harness/container.ts';
import { memoryOf, parentOf, wakeUpsOf } from '../integration/harness/procfs.ts';
import { REPOSITORY } from '../integration/harness/target.ts';
import { inTurn, milliseconds, parallel, type Pair } from './measure.ts';
import { IMAGE, NAMESPACE, type Subject } from './subject.ts';
import type { Row } from './table.ts';

export interface Sizes {
  /** Measurements of each side for a command that takes milliseconds. */
  readonly runs: number;
  /** Containers for the restart. */
  readonly containers: number;
}

export interface Sides {
  readonly reference: Subject;
  readonly davit: Subject;
}

export const SLEEP = ['sleep', '1000000'];
const SETTLE_SECONDS = 15;
const IDLE_SECONDS = 10;
const run = promisify(execFile);

const both = (sides: Sides, runs: number, work: (subject: Subject) => Promise<number>, warmUp = true): Promise<Pair> =>
  inTurn(
    runs,
    () => work(sides.reference),
    () => work(sides.davit),
    warmUp,
  );

/** Deletes container, task and snapshot. */
export async function discard(subject: Subject, id: string): Promise<void> {
  await removeTask(subject.client, id);
  await subject.client.containers.Delete({ id });
  // One that ctr made may be collected by now.
  await subject.client.snapshots.Remove({ snapshotter: 'overlayfs', key: id }).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
}

export async function runRow(sides: Sides, { runs }: Sizes): Promise<Row> {
  const pair = await both(sides, runs, (subject) =>
    milliseconds(() => subject.ctr('run', '--rm', IMAGE.name, uniqueId('r'), 'true')),
  );
  return { what: 'ctr run --rm IMAGE true', unit: 'ms', pair, budget: '0.40' };
}

export async function execRow(sides: Sides, { runs }: Sizes): Promise<Row> {
  const ids = new Map<Subject, string>();
  for (const subject of [sides.reference, sides.davit])
    ids.set(subject, await startContainer(subject.client, IMAGE, SLEEP));
  const pair = await both(sides, runs, (subject) =>
    milliseconds(() => subject.ctr('task', 'exec', '--exec-id', uniqueId('e'), ids.get(subject) ?? '', 'true')),
  );
  for (const [subject, id] of ids) await discard(subject, id);
  return { what: 'ctr task exec ... true', unit: 'ms', pair, budget: '0.40' };
}

export async function taskRow(sides: Sides, { runs }: Sizes): Promise<Row> {
  const pair = await both(sides, runs, async (subject) => {
    const id = await createContainer(subject.client, IMAGE, ['true']);
    const { mounts } = await subject.client.snapshots.Mounts({ snapshotter: 'overlayfs', key: id });
    const { tasks } = subject.client;
    const taken = await milliseconds(async () => {
      await tasks.Create({ container_id: id, rootfs: mounts });
      await tasks.Start({ container_id: id });
      await tasks.Wait({ container_id: id });
      await tasks.Delete({ container_id: id });
    });
    await discard(subject, id);
    return taken;
  });
  return { what: 'Create+Start+Wait+Delete over gRPC', unit: 'ms', pair, budget: '0.25' };
}

export async function startsRow(sides: Sides, { runs }: Sizes): Promise<Row> {
  const count = runs * 2;
  const pair = await both(
    sides,
    3,
    async (subject) => {
      const ids = Array.from({ length: count }, () => uniqueId('d'));
      const taken = await milliseconds(() =>
        parallel(count, 4, (index) =>
          subject.ctr('run', '--detach', '--null-io', IMAGE.name, ids[index] ?? '', ...SLEEP),
        ),
      );
      for (const id of ids) await discard(subject, id);
      return count / (taken / 1000);
    },
    false,
  );
  return { what: 'ctr run --detach, 4 at a time', unit: 'per s', pair, budget: '2.5 or more' };
}

export async function memoryRows(sides: Sides): Promise<Row[]> {
  const count = 10;
  const weigh = async (subject: Subject): Promise<{ resident: number; private: number }> => {
    const ids: string[] = [];
    for (let index = 0; index < count; index += 1) ids.push(await startContainer(subject.client, IMAGE, SLEEP));
    await sleep(1000);
    const total = { resident: 0, private: 0 };
    for (const { pid } of (await subject.client.tasks.List({})).tasks) {
      const memory = memoryOf(parentOf(pid));
      total.resident += memory.resident / count;
      total.private += memory.private / count;
    }
    for (const id of ids) await discard(subject, id);
    return total;
  };
  const [reference, davit] = [await weigh(sides.reference), await weigh(sides.davit)];
  return [
    {
      what: 'shim of an idle container: private',
      unit: 'KiB',
      pair: { reference: reference.private, davit: davit.private },
      budget: '0.25',
    },
    {
      what: 'shim of an idle container: resident',
      unit: 'KiB',
      pair: { reference: reference.resident, davit: davit.resident },
      budget: '0.15',
    },
  ];
}

/** Undefined when the command line is not built. */
export async function commandRow(sides: Sides, { runs }: Sizes): Promise<Row | undefined> {
  const program = path.join(REPOSITORY, 'bin/davit');
  if (!existsSync(program)) return undefined;
  const args = ['--address', sides.davit.daemon.address, '--namespace', NAMESPACE, 'run', '--rm', IMAGE.name];
  const pair = await inTurn(
    runs,
    () => milliseconds(() => sides.reference.ctr('run', '--rm', IMAGE.name, uniqueId('r'), 'true')),
    () => milliseconds(() => run(program, [...args, uniqueId('r'), 'true'])),
  );
  return { what: 'davit run --rm true, against ctr on the reference', unit: 'ms', pair, budget: '1.0' };
}

export async function idleRows(sides: Sides): Promise<Row[]> {
  const { reference, davit } = sides;
  // Runtimes tidy up their memory once, some seconds after the last work.
  await sleep(SETTLE_SECONDS * 1000);
  const pids = [reference.daemon.pid, davit.daemon.pid].map((pid) => pid ?? 0);
  const count = (): number[] => pids.map((pid) => (pid === 0 ? Number.NaN : wakeUpsOf(pid)));
  const before = count();
  await sleep(IDLE_SECONDS * 1000);
  const rates = count().map((value, index) => (value - (before[index] ?? 0)) / IDLE_SECONDS);
  const resident = pids.map((pid) => (pid === 0 ? Number.NaN : memoryOf(pid).resident));
  return [
    {
      what: 'idle daemon: wake-ups',
      unit: 'per s',
      pair: { reference: rates[0] ?? NaN, davit: rates[1] ?? NaN },
      budget: 'davit: 1 or fewer',
    },
    {
      what: 'idle daemon: resident',
      unit: 'KiB',
      pair: { reference: resident[0] ?? NaN, davit: resident[1] ?? NaN },
      budget: 'davit: 92160',
    },
  ];
}
