// A container that numbers its lines, to see whether one was lost or came twice.
import { strict as assert } from 'node:assert';

/** Prints `line 1`, `line 2`, ... and, on SIGTERM, `end N` for the number of lines that it printed. */
export const COUNTING = [
  'sh',
  '-c',
  'trap "echo end \\$i; exit 0" TERM; i=0; while :; do i=$((i + 1)); echo line $i; usleep 5000; done',
];

/** All lines up to the end are there, each once and in order; gives their number. */
export function assertWhole(text: string): number {
  const numbers = assertContiguous(text);
  const end = /^end (\d+)\r?$/m.exec(text);
  assert.ok(end !== null, `no end in: ${text.slice(-200)}`);
  assert.equal(numbers, Number(end[1]), 'lines before the end');
  return numbers;
}

/** The numbers follow each other from 1; what comes last may be cut short. Gives the last one. */
export function assertContiguous(text: string): number {
  const numbers = [...text.matchAll(/^line (\d+)\r?\n/gm)].map((match) => Number(match[1]));
  assert.ok(numbers.length > 0, 'no lines');
  for (const [index, number] of numbers.entries()) assert.equal(number, index + 1, 'a line was lost or came twice');
  return numbers.length;
}
