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
import { median, milliseconds, type Pair } from './measure.ts';
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

interface Kind {
  readonly what: string;
  readonly budget: string;
  /** The image; of one that stays another one each time. */
  image(time: number): TestImage;
  /**
   * Whether it stays until the end. ext4 hands out no inode that was deleted minutes ago, and looks for others the
   * longer the more there are: whoever unpacks many files after that is measured for it.
   */
  readonly stays: boolean;
}

/** `first`: how many images of the kinds that stay the daemons may have already. */
function kinds({ megabytes, files }: ImageSizes, first: number): Kind[] {
  const large = largeImage(megabytes);
  const many = manyFiles(files);
  return [
    { what: `${megabytes} MB in ${LAYERS} layers`, budget: '0.35', image: () => large, stays: false },
    { what: `${files} files`, budget: '0.50', image: (time) => many(first + time), stays: true },
  ];
}

interface Form {
  readonly what: string;
  readonly subject: Subject;
  readonly command: (name: string) => Promise<unknown>;
}

/**
 * Two rows for each form but the first, which is what the others are compared with: time, and processor time of the
 * daemon. All in turn, after one turn that does not count. `place` puts an image where the commands find it.
 */
async function rowsOf(kind: Kind, place: (image: TestImage) => Promise<string>, forms: readonly Form[]) {
  const taken = forms.map(() => ({ times: [] as number[], processor: [] as number[] }));
  const had = new Map<Subject, number>();
  let placed = -1;
  let name = '';
  for (let turn = 0; turn <= RUNS; turn += 1) {
    for (const [at, { subject, command }] of forms.entries()) {
      const time = kind.stays ? (had.get(subject) ?? 0) : 0;
      had.set(subject, time + 1);
      if (time !== placed) name = await place(kind.image(time));
      placed = time;
      await run('sync');
      const { pid } = subject.daemon;
      const before = pid === undefined ? Number.NaN : processorOf(pid);
      const took = await milliseconds(() => command(name));
      const used = (pid === undefined ? Number.NaN : processorOf(pid)) - before;
      if (!kind.stays) await subject.ctr('image', 'rm', '--sync', name);
      if (turn === 0) continue;
      taken[at]?.times.push(took);
      taken[at]?.processor.push(used);
    }
  }
  const [reference = { times: [], processor: [] }, ...others] = taken;
  const pair = (what: 'times' | 'processor', of: typeof reference): Pair => ({
    reference: median(reference[what]),
    davit: median(of[what]),
  });
  return others.flatMap((each, at): Row[] => [
    { what: `${forms[at + 1]?.what}, ${kind.what}`, unit: 'ms', pair: pair('times', each), budget: kind.budget },
    { what: '  processor time of the daemon', unit: 's', pair: pair('processor', each), budget: '' },
  ]);
}

const byDavit = ({ daemon }: Subject, ...args: readonly string[]): Promise<unknown> =>
  run(path.join(REPOSITORY, 'bin/davit'), ['-a', daemon.address, '-n', NAMESPACE, ...args]);

export async function importRows({ reference, davit }: Sides, sizes: ImageSizes): Promise<Row[]> {
  const directory = mkdtempSync('/tmp/davit-bench-');
  const archive = path.join(directory, 'image.tar');
  const place = (image: TestImage): Promise<string> => {
    const name = `docker.io/${image.name}:latest`;
    writeFileSync(archive, ociArchive([{ ...image, name }]));
    return Promise.resolve(name);
  };
  const byCtr = (subject: Subject) => () => subject.ctr('image', 'import', archive);
  const forms = [
    { what: '', subject: reference, command: byCtr(reference) },
    { what: 'ctr image import', subject: davit, command: byCtr(davit) },
    {
      what: 'davit load, against ctr on the reference',
      subject: davit,
      command: () => byDavit(davit, 'load', '-i', archive),
    },
  ];
  const rows: Row[] = [];
  try {
    for (const kind of kinds(sizes, 0)) rows.push(...(await rowsOf(kind, place, forms)));
    return rows;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** From Debian's docker-registry on loopback. */
export async function pullRows({ reference, davit }: Sides, sizes: ImageSizes): Promise<Row[]> {
  const folder = mkdtempSync('/tmp/davit-bench-');
  const registry = await startRegistry({ folder });
  const place = async (image: TestImage): Promise<string> => {
    await seed(registry.host, image.name, '1', image);
    return `${registry.host}/${image.name}:1`;
  };
  const byCtr = (subject: Subject) => (name: string) => subject.ctr('image', 'pull', '--plain-http', name);
  const forms = [
    { what: '', subject: reference, command: byCtr(reference) },
    { what: 'ctr image pull', subject: davit, command: byCtr(davit) },
    {
      what: 'davit pull, against ctr on the reference',
      subject: davit,
      command: (name: string) => byDavit(davit, 'pull', '--plain-http', name),
    },
  ];
  const rows: Row[] = [];
  try {
    for (const kind of kinds(sizes, 100)) rows.push(...(await rowsOf(kind, place, forms)));
    return rows;
  } finally {
    await registry.stop();
    rmSync(folder, { recursive: true });
  }
}
