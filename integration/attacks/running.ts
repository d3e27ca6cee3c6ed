// Containers of attackers that run until they are stopped.
import type { Client } from '../../client/connect.ts';
import { createContainer, createTask, removeContainer, type ContainerOptions } from '../harness/container.ts';
import type { TestImage } from '../harness/image.ts';
import { createStdio, type Output } from '../harness/stdio.ts';

export interface Attacker {
  readonly id: string;
  readonly pid: number;
  readonly output: Output;
  stop(): Promise<void>;
}

/** A container whose output can be waited for. */
export async function attacker(
  client: Client,
  image: TestImage,
  args: readonly string[],
  options: ContainerOptions = {},
): Promise<Attacker> {
  const id = await createContainer(client, image, args, options);
  const stdio = createStdio();
  const outputs = [stdio.openOutput('stdout'), stdio.openOutput('stderr')] as const;
  const pid = await createTask(client, id, stdio.paths);
  await client.tasks.Start({ container_id: id });
  return {
    id,
    pid,
    output: outputs[0],
    async stop() {
      await kill(client, id);
      for (const output of outputs) output.close();
      stdio.remove();
    },
  };
}

/** Ends and removes a container, whether it runs or not. */
export async function kill(client: Client, id: string): Promise<void> {
  await client.tasks.Kill({ container_id: id, signal: 9 }).catch(() => undefined);
  await client.tasks.Wait({ container_id: id }).catch(() => undefined);
  await removeContainer(client, id);
}
