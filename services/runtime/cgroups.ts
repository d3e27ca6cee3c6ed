// Cgroups of containers that were half made by another's runtime: it knows nothing of a container whose
// creation was cut, and so removes nothing. Ours removes its own.
import { readdir, readFile, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { listMounts } from '../../native/addon/index.ts';
import { errnoCode } from '../lib/errors.ts';
import type { Bundle } from './bundle.ts';

/** Processes of the cut creation may take a moment to end. */
const ATTEMPTS = 10;
const PAUSE = 50;

/** Where the bundle's container has its cgroups, in every hierarchy; none that it has not named as a path. */
export async function cgroupsOf(bundle: Bundle): Promise<readonly string[]> {
  let named: unknown;
  try {
    const text = await readFile(path.join(bundle.path, 'config.json'), 'utf8');
    named = (JSON.parse(text) as { readonly linux?: { readonly cgroupsPath?: unknown } } | null)?.linux?.cgroupsPath;
  } catch {
    // None, or cut short: then nothing was made of it.
    return [];
  }
  if (typeof named !== 'string' || !named.startsWith('/')) return [];
  const below = path.normalize(named);
  if (below === '/') return [];
  const hierarchies = (await listMounts()).filter(({ type }) => type === 'cgroup' || type === 'cgroup2');
  return hierarchies.map(({ target }) => path.join(target, below));
}

/** Removes those that are empty, with the empty ones in them. */
export async function removeEmptyCgroups(cgroups: readonly string[]): Promise<void> {
  for (const cgroup of cgroups) {
    for (let attempt = 0; attempt < ATTEMPTS && !(await removeEmpty(cgroup)); attempt++) await sleep(PAUSE);
  }
}

async function removeEmpty(cgroup: string): Promise<boolean> {
  try {
    for (const entry of await readdir(cgroup, { withFileTypes: true })) {
      if (entry.isDirectory() && !(await removeEmpty(path.join(cgroup, entry.name)))) return false;
    }
    await rmdir(cgroup);
    return true;
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return true;
    if (errnoCode(error) === 'EBUSY') return false;
    throw error;
  }
}
