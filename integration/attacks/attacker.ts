// What the attack tests share: images with something evil in them, a place on the host that no
// attack may change, and the specs that attackers ask for.
import { strict as assert } from 'node:assert';
import { randomBytes } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import type { Client } from '../../client/connect.ts';
import { run, type ContainerOptions, type Result } from '../harness/container.ts';
import { busyboxEntries, makeImage, makeLayer, type TestImage } from '../harness/image.ts';
import { runtimeSpec } from '../harness/spec.ts';
import { putImage } from '../harness/store.ts';
import type { TarEntry } from '../harness/tar.ts';
import { REPOSITORY } from '../harness/target.ts';

export const PROBE = path.join(REPOSITORY, 'build/native/integration/attacks/attack_probe');

/** Busybox, the probe, and what the attack adds or puts in the place of something. */
export function evilImage(name: string, entries: readonly TarEntry[] = [], config = {}): TestImage {
  const replaced = new Set(entries.map((entry) => entry.name));
  const usual = busyboxEntries().filter((entry) => !replaced.has(entry.name));
  const probe = { name: 'bin/probe', content: readFileSync(PROBE), mode: 0o755 };
  return makeImage(`docker.io/attack/${name}:latest`, [makeLayer([...usual, probe, ...entries])], config);
}

export interface Canary {
  /** A folder of the host's with a file `secret` and an empty folder `outside`. */
  readonly directory: string;
  readonly secret: string;
  readonly outside: string;
  /** What `secret` holds, and no container may ever print. */
  readonly text: string;
  /** Takes it as it is now for unchanged: what the attack has put there itself. */
  remember(): void;
  /** Throws when anything in it has changed. */
  check(): void;
  remove(): void;
}

export function createCanary(): Canary {
  const directory = mkdtempSync('/tmp/davit-canary-');
  const secret = path.join(directory, 'secret');
  const outside = path.join(directory, 'outside');
  const text = randomBytes(12).toString('hex');
  writeFileSync(secret, text, { mode: 0o640 });
  mkdirSync(outside);
  let before = fingerprint(directory);
  return {
    directory,
    secret,
    outside,
    text,
    remember: () => void (before = fingerprint(directory)),
    check: () => assert.deepEqual(fingerprint(directory), before),
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Every file below with its kind, mode, owner, link count and content, and what is mounted there. */
function fingerprint(directory: string): string[] {
  const lines: string[] = [];
  const walk = (name: string): void => {
    const info = lstatSync(name);
    const content = info.isFile() ? readFileSync(name, 'utf8') : info.isSymbolicLink() ? readlinkSync(name) : '';
    lines.push([name, info.mode.toString(8), info.uid, info.gid, info.nlink, info.rdev, content].join(' '));
    if (info.isDirectory()) for (const each of readdirSync(name).toSorted()) walk(path.join(name, each));
  };
  walk(directory);
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return [...lines, ...mounts.filter((line) => line.includes(directory))];
}

/** What became of an attempt: a result, or why it was refused. */
export type Outcome = Result & { readonly refused?: string };

/** Runs a container of an image that may be refused; either way nothing is left of it. */
export async function attempt(
  client: Client,
  image: TestImage,
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<Outcome> {
  await putImage(client, image);
  try {
    return await run(client, image, args, options);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    await removeAll(client);
    return { status: -1, stdout: '', stderr: '', refused: error.message };
  }
}

/** Containers of failed attempts. */
async function removeAll(client: Client): Promise<void> {
  const { containers } = await client.containers.List({});
  for (const { id, snapshot_key, snapshotter } of containers) {
    const { tasks } = await client.tasks.List({});
    if (tasks.some((task) => task.id === id && task.status !== 3)) continue; // another's that runs
    await client.tasks.Delete({ container_id: id }).catch(() => undefined);
    await client.containers.Delete({ id });
    await client.snapshots.Remove({ snapshotter, key: snapshot_key });
  }
}

interface SpecMount {
  readonly destination: string;
}

/** The usual mounts of a spec without those at the given places, and with others. */
export function mountsWithout(gone: readonly string[], more: readonly object[] = []): object {
  const { mounts } = runtimeSpec('', '', []) as { mounts: readonly SpecMount[] };
  return { mounts: [...mounts.filter((mount) => !gone.includes(mount.destination)), ...more] };
}

export const bind = (source: string, destination: string, ...options: string[]): object => ({
  type: 'bind',
  source,
  destination,
  options: ['rbind', ...options],
});

export const tmpfs = (destination: string, ...options: string[]): object => ({
  type: 'tmpfs',
  source: 'tmpfs',
  destination,
  options,
});
