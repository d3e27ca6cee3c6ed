// davit-oci against the OCI runtimes of Debian: one container that runs `true`, from its bundle.
import { execFile } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { REPOSITORY } from '../integration/harness/target.ts';
import { inTurn, milliseconds } from './measure.ts';
import type { Row } from './table.ts';

const run = promisify(execFile);
const DAVIT = path.join(REPOSITORY, 'bin/davit-oci');

/** A bundle whose program ends at once. */
async function makeBundle(): Promise<string> {
  const bundle = mkdtempSync('/tmp/davit-bench-oci.');
  mkdirSync(path.join(bundle, 'rootfs/bin'), { recursive: true });
  copyFileSync('/bin/busybox', path.join(bundle, 'rootfs/bin/true'));
  await run(DAVIT, ['spec', '--bundle', bundle]);
  const file = path.join(bundle, 'config.json');
  const config = JSON.parse(readFileSync(file, 'utf8')) as { ociVersion: string; process: Record<string, unknown> };
  // crun of Debian 12 knows no later one.
  config.ociVersion = '1.0.2';
  Object.assign(config.process, { terminal: false, args: ['/bin/true'] });
  writeFileSync(file, JSON.stringify(config));
  return bundle;
}

/** crun refuses a hybrid cgroup layout: both then run where the second hierarchy is not mounted. */
function wrapper(): string[] {
  const second = '/sys/fs/cgroup/unified';
  if (!existsSync(second)) return [];
  return ['unshare', '--mount', 'sh', '-c', `umount ${second} && exec "$0" "$@"`];
}

/** A row for each of the two that is installed. */
export async function ociRows(runs: number): Promise<Row[]> {
  const rows: Row[] = [];
  if (!existsSync(DAVIT)) return rows;
  const bundle = await makeBundle();
  // Where /run usually is: deleting a folder of a disk costs milliseconds.
  const state = mkdtempSync('/dev/shm/davit-bench-oci.');
  for (const [name, budget, before] of [
    ['runc', '0.25', []],
    ['crun', '0.80', wrapper()],
  ] as const) {
    const installed = await run('sh', ['-c', `command -v ${name}`]).catch(() => undefined);
    if (installed === undefined) continue;
    let count = 0;
    const once = (program: string): Promise<number> => {
      const words = [...before, program, '--root', state, 'run', '--bundle', bundle];
      count += 1;
      const id = `bench-${String(process.pid)}-${name}-${String(count)}`;
      return milliseconds(() => run(words[0] ?? '', [...words.slice(1), id]));
    };
    const pair = await inTurn(
      runs,
      () => once(name),
      () => once(DAVIT),
    );
    rows.push({ what: `davit-oci run true, against ${name}`, unit: 'ms', pair, budget });
  }
  for (const folder of [bundle, state]) rmSync(folder, { recursive: true });
  return rows;
}
