// The command lines that people start containers with, on the daemon under test.
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Client } from '../../client/connect.ts';
import { uniqueId, type Result } from '../harness/container.ts';
import type { Daemon } from '../harness/daemon.ts';
import type { TestImage } from '../harness/image.ts';
import { REPOSITORY } from '../harness/target.ts';

const PROGRAMS = { davit: path.join(REPOSITORY, 'bin/davit'), ctr: 'ctr' };
const LIMIT_MS = 30_000;

/** `davit run --rm FLAGS IMAGE ID ARGS`, or the same with ctr. */
export function runWith(
  program: keyof typeof PROGRAMS,
  daemon: Daemon,
  client: Client,
  flags: readonly string[],
  image: TestImage,
  args: readonly string[],
): Result {
  return call(program, daemon, client, ['run', '--rm', ...flags, image.name, uniqueId(), ...args]);
}

/** One of these programs with any command. */
export function call(
  program: keyof typeof PROGRAMS,
  daemon: Daemon,
  client: Client,
  command: readonly string[],
): Result {
  const words = ['--address', daemon.address, '--namespace', client.namespace, ...command];
  const { status, stdout, stderr, error } = spawnSync(PROGRAMS[program], words, {
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  if (error !== undefined) throw error;
  return { status: status ?? -1, stdout, stderr };
}

/** As runWith() of davit, for several at a time. Rejects when it fails. */
export function runInBackground(
  daemon: Daemon,
  client: Client,
  flags: readonly string[],
  image: TestImage,
  args: readonly string[],
): Promise<{ stdout: string }> {
  const words = ['--address', daemon.address, '--namespace', client.namespace, 'run', '--rm', ...flags];
  return promisify(execFile)(PROGRAMS.davit, [...words, image.name, uniqueId(), ...args], { timeout: LIMIT_MS });
}
