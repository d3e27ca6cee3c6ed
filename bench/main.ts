// make bench: davitd and Debian's containerd side by side in one run, as ratios.
//
// BENCH_REFERENCE=SOCKET   compare with the daemon that listens there
// BENCH_QUICK=1            small sizes: is everything in place?
// BENCH_IMAGE_MB, BENCH_IMAGE_FILES, BENCH_CONTAINERS, BENCH_RUNS   single sizes
// BENCH_FOLDER=FOLDER      where both daemons store what they have; /tmp
// BENCH_ONLY=WORD          only rows whose name has the word: run exec task starts memory import pull command oci idle restart
import { emptyNamespace } from '../integration/harness/cleanup.ts';
import { removeNamespaceCgroups } from '../integration/harness/leftovers.ts';
import { importRows, pullRows } from './image-rows.ts';
import { ociRows } from './oci-rows.ts';
import { restartRows } from './restart-rows.ts';
import { commandRow, execRow, idleRows, memoryRows, runRow, startsRow, taskRow, type Sides } from './rows.ts';
import { NAMESPACE, startSubject, type Subject } from './subject.ts';
import { formatTable, type Row } from './table.ts';

const quick = process.env['BENCH_QUICK'] === '1';
const size = (name: string, whole: number, small: number): number =>
  Number(process.env[name] ?? (quick ? small : whole));

const sizes = { runs: size('BENCH_RUNS', 20, 4), containers: size('BENCH_CONTAINERS', 200, 10) };
const images = { megabytes: size('BENCH_IMAGE_MB', 500, 24), files: size('BENCH_IMAGE_FILES', 40_000, 2000) };
const only = process.env['BENCH_ONLY']?.split(',');
const external = process.env['BENCH_REFERENCE'];
const folder = process.env['BENCH_FOLDER'];

const measurements: Readonly<Record<string, (sides: Sides) => Promise<readonly (Row | undefined)[]>>> = {
  // First: nothing else has touched the daemons yet.
  idle: idleRows,
  run: async (sides) => [await runRow(sides, sizes)],
  exec: async (sides) => [await execRow(sides, sizes)],
  task: async (sides) => [await taskRow(sides, sizes)],
  starts: async (sides) => [await startsRow(sides, sizes)],
  memory: memoryRows,
  import: (sides) => importRows(sides, images),
  pull: (sides) => pullRows(sides, images),
  command: async (sides) => [await commandRow(sides, sizes)],
  oci: () => ociRows(sizes.runs),
  restart: (sides) => restartRows(sides, sizes),
};

const sides: Sides = {
  reference: await startSubject('containerd', { address: external === '' ? undefined : external, folder }),
  davit: await startSubject('davit', { folder }),
};
const rows: Row[] = [];
for (const [name, measure] of Object.entries(measurements)) {
  if (only !== undefined && !only.includes(name)) continue;
  process.stderr.write(`measuring: ${name}\n`);
  try {
    for (const row of await measure(sides)) if (row !== undefined) rows.push(row);
  } catch (error) {
    // The other rows are still worth having.
    process.stderr.write(`${name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  }
}
for (const subject of [sides.reference, sides.davit]) await end(subject);
removeNamespaceCgroups([NAMESPACE]);
process.stdout.write(`${formatTable(rows, sides.reference.name)}\n`);

async function end(subject: Subject): Promise<void> {
  for (const problem of await emptyNamespace(subject.client)) process.stderr.write(`${subject.name}: ${problem}\n`);
  subject.client.close();
  await subject.daemon.stop();
  subject.daemon.remove();
}
