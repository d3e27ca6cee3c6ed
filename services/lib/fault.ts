// Fault points: named places in the daemon that a test can make die, fail or stall.
//
//   DAVIT_FAULTS=<point>=<die|fail|stall:MILLISECONDS>[,...]
//
// Points that begin with `shim.` are the shim's, which inherits the variable. docs/fault-points.md
// says what each point means.
import { setTimeout as sleep } from 'node:timers/promises';
import { Failure } from './errors.ts';

export type FaultPoint =
  | 'content.write.before-append'
  | 'content.commit.before-rename'
  | 'content.commit.before-record'
  | 'content.commit.after-record'
  | 'diff.apply.after-extract'
  | 'diff.compare.before-commit'
  | 'gc.sweep.before-files'
  | 'metadata.batch.before-write'
  | 'metadata.batch.after-write'
  | 'mounts.activate.after-mount'
  | 'mounts.temporary.after-mount'
  | 'runtime.create.after-bundle'
  | 'runtime.create.after-start'
  | 'runtime.create.after-create'
  | 'runtime.delete.after-shim'
  | 'runtime.delete.before-bundle'
  | 'runtime.recover.before-connect'
  | 'snapshots.prepare.before-record'
  | 'snapshots.commit.before-record'
  | 'snapshots.commit.before-sync'
  | 'snapshots.commit.after-sync'
  | 'snapshots.remove.before-files'
  | 'transfer.pull.before-image'
  | 'transfer.pull.after-image';

type Action = () => Promise<void>;

let armed: Map<string, Action> | undefined;

/** Does nothing, and gives nothing to wait for, unless this point was told to act. */
export function fault(point: FaultPoint): Promise<void> | undefined {
  armed ??= parseFaults(process.env['DAVIT_FAULTS'] ?? '');
  return armed.size === 0 ? undefined : armed.get(point)?.();
}

/** What each point is to do, the shim's left out. Throws for what is none of the words above. */
export function parseFaults(text: string): Map<string, Action> {
  const actions = new Map<string, Action>();
  for (const part of text.split(',').filter((each) => each !== '' && !each.startsWith('shim.'))) {
    const [point = '', word = ''] = part.split('=');
    actions.set(point, actionOf(point, word));
  }
  return actions;
}

function actionOf(point: string, word: string): Action {
  const milliseconds = /^stall:(\d+)$/.exec(word)?.[1];
  if (milliseconds !== undefined) return () => sleep(Number(milliseconds));
  if (word === 'die') return async () => void process.kill(process.pid, 'SIGKILL');
  if (word === 'fail')
    return () => Promise.reject(new Failure('internal', `fault point "${point}" was told to fail: internal`));
  throw new Error(`DAVIT_FAULTS: ${point}=${word}: use die, fail or stall:MILLISECONDS`);
}
