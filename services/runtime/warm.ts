// Moving a process into a cgroup takes a lock that every fork on the machine reads. Its first writer
// for a while waits for an RCU grace period, 10 ms and more; those that follow within the next do not.
// A container is created some milliseconds before its first process is moved, so the wait is begun
// then: the daemon moves itself to where it is, which changes nothing but takes the lock.
import { readFile, writeFile } from 'node:fs/promises';

/** Writes within this many milliseconds of the last one would find the lock taken care of. */
const WARM_FOR = 5;

/** Starts the wait in the background; returns at once. Nothing happens where processes are born in their cgroup (v2). */
export type Warm = () => void;

export async function createWarm(): Promise<Warm> {
  const file = await ownMembers();
  if (file === undefined) return () => undefined;
  let last = -WARM_FOR;
  return () => {
    const now = performance.now();
    if (now - last < WARM_FOR) return;
    last = now;
    // Only a saved wait is lost when this fails.
    writeFile(file, String(process.pid)).catch(() => undefined);
  };
}

/** cgroup.procs of this process's freezer cgroup; undefined without cgroup v1 at its usual place. */
async function ownMembers(): Promise<string | undefined> {
  const cgroups = await readFile('/proc/self/cgroup', 'utf8').catch(() => '');
  const own = /^\d+:freezer:(.*)$/m.exec(cgroups)?.[1];
  if (own === undefined) return undefined;
  const file = `/sys/fs/cgroup/freezer${own}/cgroup.procs`;
  const members = await readFile(file, 'utf8').catch(() => '');
  return members.split('\n').includes(String(process.pid)) ? file : undefined;
}
