// Numbers of a process, from /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Of the clock in /proc, a second; the same on every Linux that Node runs on. */
const TICKS = 100;

/** The parent of a process; 0 when it is gone. */
export function parentOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] ?? 0);
}

export interface Memory {
  /** KiB that are in memory, shared pages counted whole. */
  readonly resident: number;
  /** KiB that nobody else has. */
  readonly private: number;
  /** KiB, shared pages counted by share. */
  readonly proportional: number;
}

export function memoryOf(pid: number): Memory {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1] ?? 0);
  return {
    resident: field('Rss'),
    private: field('Private_Clean') + field('Private_Dirty'),
    proportional: field('Pss'),
  };
}

/** Voluntary switches of all threads: how often the process went back to sleep. */
export function wakeUpsOf(pid: number): number {
  let total = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    for (const [, count] of status.matchAll(/^voluntary_ctxt_switches:\s+(\d+)/gm)) total += Number(count);
  }
  return total;
}

/** Seconds of processors that the process has used, user and system, of all its threads. */
export function processorOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [user, system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return (Number(user) + Number(system)) / TICKS;
}
