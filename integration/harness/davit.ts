// The command line under test, against a suite's daemon and in its namespace.
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import path from 'node:path';
import type { Fixture } from './fixture.ts';
import { REPOSITORY } from './target.ts';

const DAVIT = path.join(REPOSITORY, 'bin/davit');
const TERMINAL = path.join(REPOSITORY, 'integration/interop/terminal.py');
const LIMIT_MS = 30_000;
const MOST_OUTPUT = 256 * 1024 * 1024;

export interface DavitResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly bytes: Buffer;
  readonly stderr: string;
}

export interface DavitCommand {
  /** Runs it to its end. */
  run(args: readonly string[], input?: Buffer): DavitResult;
  /** The output of one that must succeed. */
  ok(args: readonly string[], input?: Buffer): string;
  /** The child's owner ends it. */
  start(args: readonly string[]): ChildProcessWithoutNullStreams;
  /** On a terminal of 33 rows and 77 columns; steps as interop/terminal.py has them. */
  onTerminal(steps: readonly string[], args: readonly string[]): DavitResult;
}

export function davitCommand(fixture: Fixture): DavitCommand {
  const global = (): string[] => ['--address', fixture.daemon.address, '--namespace', fixture.client.namespace];
  const call = (file: string, args: readonly string[], input?: Buffer): DavitResult => {
    const result = spawnSync(file, args, { timeout: LIMIT_MS, input, maxBuffer: MOST_OUTPUT });
    const [stdout, stderr] = [result.stdout.toString('utf8'), result.stderr.toString('utf8')];
    return { status: result.status, stdout, bytes: result.stdout, stderr };
  };
  const run = (args: readonly string[], input?: Buffer): DavitResult => call(DAVIT, [...global(), ...args], input);
  return {
    run,
    ok(args, input) {
      const { status, stdout, stderr } = run(args, input);
      if (status !== 0) throw new Error(`davit ${args.join(' ')}: status ${status}: ${stderr}`);
      return stdout;
    },
    start: (args) => spawn(DAVIT, [...global(), ...args], { stdio: 'pipe' }),
    onTerminal: (steps, args) => call('python3', [TERMINAL, '33', '77', ...steps, '--', DAVIT, ...global(), ...args]),
  };
}
