import { readFileSync } from 'node:fs';
import { Failure } from '../lib/errors.ts';
import type { RunProgram } from './program.ts';

/** Unmounts all that is mounted at and below a path, lazily. Nothing happens when nothing is. */
export async function unmountBelow(target: string, run: RunProgram): Promise<void> {
  for (const point of mountPoints(target)) {
    const { code, stderr } = await run({
      file: 'umount',
      args: ['-l', '-n', point],
      env: process.env,
      timeoutMs: 10_000,
    });
    if (code !== 0) throw new Failure('internal', `unmount "${point}": ${stderr.toString('utf8').trim()}: internal`);
  }
}

/** The last mounted first. */
function mountPoints(target: string): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines
    .map((line) =>
      (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal: string) =>
        String.fromCharCode(parseInt(octal, 8)),
      ),
    )
    .filter((point) => point === target || point.startsWith(`${target}/`))
    .reverse();
}
