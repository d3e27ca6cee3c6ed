// Import and pull of a large image and of one with many files, unpacked: by ctr on either daemon, and by davit.
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { ociArchive, type TestImage } from '../integration/harness/image.ts';
import { processorOf } from '../integration/harness/procfs.ts';
import { seed, startRegistry } from '../integration/harness/registry.ts';
import { REPOSITORY } from '../integration/harness/target.ts';
import { LAYERS, largeImage, manyFiles } from './large-image.ts';
import { inTurn, median, milliseconds, type Pair } from './measure.ts';
import type { Sides } from './rows.ts';
import { NAMESPACE, type Subject } from './subject.ts';
import type { Row } from './table.ts';

const RUNS = 3;
const run = promisify(execFile);

export interface ImageSizes {
  /** Of the large image, unpacked. */
  readonly megabytes: number;
  /** In the other one. */
  readonly files: number;
}

interface Subjects {
  readonly what: string;
  readonly image: TestImage;
  readonly budget: string;
}

const both = ({ megabytes, files }: ImageSizes): Subjects[] => [
  { what: `${megabytes} MB in ${LAYERS} layers`, image: largeImage(megabytes), budget: '0.35' },
  { what: `${files} files`, image: manyFiles(files), budget: '0.50' },
];

type Command = (subject: Subject) => Promise<unknown>;

/** Two rows: what a command takes, and what of processors the daemon does; the image is removed after each. */
async function rowsOf(
  sides: Sides,
  what: string,
  budget: string,
  name: string,
  reference: Command,
  davit: Command,
): Promise<Row[]> {
  const used = new Map<Subject, number[]>([
    [sides.reference, []],
    [sides.davit, []],
  ]);
  const work = async (subject: Subject, command: Command): Promise<number> => {
    const { pid } = subject.daemon;
    const before = pid === undefined ? Number.NaN : processorOf(pid);
    const taken = await milliseconds(() => command(subject));
    used.get(subject)?.push((pid === undefined ? Number.NaN : processorOf(pid)) - before);
    await subject.ctr('image', 'rm', '--sync', name);
    return taken;
  };
  const pair = await inTurn(
    RUNS,
    () => work(sides.reference, reference),
    () => work(sides.davit, davit),
  );
  const processor: Pair = {
    reference: median(used.get(sides.reference) ?? []),
    davit: median(used.get(sides.davit) ?? []),
  };
  return [
    { what, unit: 'ms', pair, budget },
    { what: '  processor time of the daemon', unit: 's', pair: processor, budget: '' },
  ];
}

export async function importRows(sides: Sides, sizes: ImageSizes): Promise<Row[]> {
  const directory = mkdtempSync('/tmp/davit-bench-');
  const archive = path.join(directory, 'image.tar');
  const rows: Row[] = [];
  try {
    for (const { what, image, budget } of both(sizes)) {
      const name = `docker.io/${image.name}:latest`;
      writeFileSync(archive, ociArchive([{ ...image, name }]));
      const byCtr: Command = (subject) => subject.ctr('image', 'import', archive);
      rows.push(...(await rowsOf(sides, `ctr image import, ${what}`, budget, name, byCtr, byCtr)));
    }
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** From Debian's docker-registry on loopback. */
export async function pullRows(sides: Sides, sizes: ImageSizes): Promise<Row[]> {
  const folder = mkdtempSync('/tmp/davit-bench-');
  const registry = await startRegistry({ folder });
  const rows: Row[] = [];
  try {
    for (const { what, image, budget } of both(sizes)) {
      await seed(registry.host, image.name, '1', image);
      const name = `${registry.host}/${image.name}:1`;
      const byCtr: Command = (subject) => subject.ctr('image', 'pull', '--plain-http', name);
      const byDavit: Command = ({ daemon }) =>
        run(path.join(REPOSITORY, 'bin/davit'), ['-a', daemon.address, '-n', NAMESPACE, 'pull', '--plain-http', name]);
      rows.push(...(await rowsOf(sides, `ctr image pull, ${what}`, budget, name, byCtr, byCtr)));
      const against = `davit pull, against ctr on the reference, ${what}`;
      rows.push(...(await rowsOf(sides, against, budget, name, byCtr, byDavit)));
    }
    return rows;
  } finally {
    await registry.stop();
    rmSync(folder, { recursive: true });
  }
}
