// A restart while many containers run.
import { setTimeout as sleep } from 'node:timers/promises';
import { createContainer, createTask, STATUS, uniqueId } from '../integration/harness/container.ts';
import { listens } from '../integration/harness/daemon.ts';
import { memoryOf, parentOf } from '../integration/harness/procfs.ts';
import { inTurn, milliseconds, parallel } from './measure.ts';
import { discard, SLEEP, type Sides, type Sizes } from './rows.ts';
import { IMAGE, type Subject } from './subject.ts';
import type { Row } from './table.ts';

const RESTARTS = 7;
const POLL_MS = 2;

const makeIds = (count: number): string[] => Array.from({ length: count }, () => uniqueId('k'));

async function startAll(subject: Subject, ids: readonly string[]): Promise<void> {
  await parallel(ids.length, 4, async (index) => {
    const id = ids[index] ?? '';
    await createContainer(subject.client, IMAGE, SLEEP, {}, id);
    await createTask(subject.client, id);
    await subject.client.tasks.Start({ container_id: id });
  });
}

/** Kibibytes of all shims together. */
async function memoryOfShims({ client }: Subject): Promise<number> {
  const { tasks } = await client.tasks.List({});
  return tasks.reduce((total, { pid }) => total + memoryOf(parentOf(pid)).resident, 0);
}

/**
 * From starting the daemon's process until a client is told that all run. The client tries to connect every
 * two milliseconds, and lists when it can.
 */
async function restart(subject: Subject, containers: number): Promise<number> {
  await subject.daemon.stop();
  return milliseconds(async () => {
    subject.daemon.launch();
    while (!(await listens(subject.daemon.address))) await sleep(POLL_MS);
    const client = subject.reconnect();
    const running = async (): Promise<number> =>
      (await client.tasks.List({})).tasks.filter(({ status }) => status === STATUS.RUNNING).length;
    while ((await running()) < containers) await sleep(POLL_MS);
  });
}

/** None when the reference is not ours to restart. */
export async function restartRows({ reference, davit }: Sides, { containers }: Sizes): Promise<Row[]> {
  if (!reference.own) return [];
  // Names of their own: both run at the same time, and cgroups go by name.
  const ids = new Map([reference, davit].map((subject) => [subject, makeIds(containers)]));
  for (const [subject, each] of ids) await startAll(subject, each);
  const resident = { reference: await memoryOfShims(reference), davit: await memoryOfShims(davit) };
  const ready = await inTurn(
    RESTARTS,
    () => restart(reference, containers),
    () => restart(davit, containers),
  );
  for (const [subject, each] of ids) await parallel(containers, 4, (index) => discard(subject, each[index] ?? ''));
  return [
    { what: `restart with ${containers} running, until all are reported`, unit: 'ms', pair: ready, budget: '0.50' },
    { what: `shims of ${containers} containers: resident in all`, unit: 'KiB', pair: resident, budget: '' },
  ];
}
