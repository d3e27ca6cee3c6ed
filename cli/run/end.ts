// Ending a container's task, whatever state it is in.
import { constants } from 'node:os';
import type { Client } from '../../client/connect.ts';
import { isNotFound } from '../../client/errors.ts';
import { removeFifos } from '../io/fifos.ts';

const { SIGKILL } = constants.signals;

/** Kills and deletes the task and its pipes; no task is success. Resolves with its exit status, if it had one. */
export async function endTask(client: Client, id: string): Promise<number | undefined> {
  try {
    const { process } = await client.tasks.Get({ container_id: id });
    await client.tasks.Resume({ container_id: id }).catch(() => undefined);
    await client.tasks.Kill({ container_id: id, signal: SIGKILL, all: true }).catch((error: unknown) => {
      if (!isNotFound(error)) throw error;
    });
    await client.tasks.Wait({ container_id: id });
    const { exit_status } = await client.tasks.Delete({ container_id: id });
    if (process !== null) removeFifos(process);
    return exit_status;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
