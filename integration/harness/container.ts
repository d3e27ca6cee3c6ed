// Containers and tasks for tests: made with few words, removed with none.
import { SPEC_URL, PROCESS_URL } from '../../client/any.ts';
import type { Client } from '../../client/connect.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import type { TestImage } from './image.ts';
import { processSpec, runtimeSpec, type ProcessOptions, type SpecOptions } from './spec.ts';
import { createStdio, type Output, type Stdio, type StdioPaths } from './stdio.ts';
import { chainId } from './store.ts';

export const RUNTIME = 'io.containerd.runc.v2';
export const STATUS = { UNKNOWN: 0, CREATED: 1, RUNNING: 2, STOPPED: 3, PAUSED: 4, PAUSING: 5 } as const;

export const json = (typeUrl: string, value: object): Any => ({
  type_url: typeUrl,
  value: Buffer.from(JSON.stringify(value)),
});

export interface ContainerOptions extends SpecOptions {
  readonly runtime?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly snapshotter?: string;
}

let sequence = 0;

/** An id that no other container of this run has. */
export function uniqueId(prefix = 'c'): string {
  sequence += 1;
  return `${prefix}${process.pid}-${sequence}`;
}

/** A container with a writable snapshot of the image, which must be unpacked. */
export async function createContainer(
  client: Client,
  image: TestImage,
  args: readonly string[],
  options: ContainerOptions = {},
  id = uniqueId(),
): Promise<string> {
  const snapshotter = options.snapshotter ?? 'overlayfs';
  const parent = chainId(image.layers.map(({ diffId }) => diffId));
  await client.snapshots.Prepare({
    snapshotter,
    key: id,
    parent,
    labels: { 'containerd.io/gc.root': new Date().toISOString() },
  });
  await client.containers.Create({
    container: {
      id,
      image: image.name,
      labels: { ...options.labels },
      runtime: { name: options.runtime ?? RUNTIME },
      spec: json(SPEC_URL, runtimeSpec(client.namespace, id, args, options)),
      snapshotter,
      snapshot_key: id,
    },
  });
  return id;
}

/** Creates the task of a container; gives its pid. */
export async function createTask(
  client: Client,
  id: string,
  stdio: Partial<StdioPaths> = {},
  terminal = false,
  snapshotter = 'overlayfs',
): Promise<number> {
  const { mounts } = await client.snapshots.Mounts({ snapshotter, key: id });
  const { pid } = await client.tasks.Create({ container_id: id, rootfs: mounts, terminal, ...stdio });
  return pid;
}

/** A container whose task runs. */
export async function startContainer(
  client: Client,
  image: TestImage,
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<string> {
  const id = await createContainer(client, image, args, options);
  await createTask(client, id, {}, options.terminal, options.snapshotter);
  await client.tasks.Start({ container_id: id });
  return id;
}

/** Deletes a stopped task, its container and its snapshot; gives the exit status. */
export async function removeContainer(client: Client, id: string, snapshotter = 'overlayfs'): Promise<number> {
  const { exit_status } = await client.tasks.Delete({ container_id: id });
  await client.containers.Delete({ id });
  await client.snapshots.Remove({ snapshotter, key: id });
  return exit_status;
}

export interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a container to its end, reads what it prints, and removes it. */
export async function run(
  client: Client,
  image: TestImage,
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<Result> {
  const id = await createContainer(client, image, args, options);
  const stdio = createStdio();
  const outputs = [stdio.openOutput('stdout'), stdio.openOutput('stderr')] as const;
  try {
    await createTask(client, id, stdio.paths, false, options.snapshotter);
    const waiting = client.tasks.Wait({ container_id: id });
    await client.tasks.Start({ container_id: id });
    await waiting;
    const status = await removeContainer(client, id, options.snapshotter);
    return { status, ...(await texts(outputs)) };
  } finally {
    for (const output of outputs) output.close();
    stdio.remove();
  }
}

async function texts([stdout, stderr]: readonly [Output, Output]): Promise<{ stdout: string; stderr: string }> {
  await Promise.all([stdout.ended, stderr.ended]);
  return { stdout: stdout.text, stderr: stderr.text };
}

/** Runs a process in a running task to its end, reads what it prints, and deletes it. */
export async function exec(
  client: Client,
  id: string,
  args: readonly string[],
  options: ProcessOptions = {},
): Promise<Result> {
  const stdio: Stdio = createStdio();
  const outputs = [stdio.openOutput('stdout'), stdio.openOutput('stderr')] as const;
  const exec_id = uniqueId('e');
  try {
    await client.tasks.Exec({
      container_id: id,
      exec_id,
      ...stdio.paths,
      spec: json(PROCESS_URL, processSpec(args, options)),
    });
    await client.tasks.Start({ container_id: id, exec_id });
    await client.tasks.Wait({ container_id: id, exec_id });
    const { exit_status } = await client.tasks.DeleteProcess({ container_id: id, exec_id });
    return { status: exit_status, ...(await texts(outputs)) };
  } finally {
    for (const output of outputs) output.close();
    stdio.remove();
  }
}
