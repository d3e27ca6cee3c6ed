// A process from its creation to its end: a container's first one, or an exec.
import type { Client } from '../../client/connect.ts';
import { NO_STDIO, holdFifos, removeFifos, type StdioPaths } from '../io/fifos.ts';
import { openSession, type Outcome } from '../io/session.ts';

export interface ProcessRequest {
  readonly container: string;
  /** '' for the container's first process. */
  readonly execId: string;
  readonly terminal: boolean;
  readonly paths: StdioPaths;
  /** Its stdio is ours; otherwise it goes where `paths` says. */
  readonly attached: boolean;
  /** It is left alone once it runs. */
  readonly detach: boolean;
}

export interface ProcessSteps {
  create(): Promise<void>;
  /** After its end, or when it could not be started. */
  remove(client: Client): Promise<unknown>;
}

const CLEANUP_MS = 10_000;

/** What happened; undefined when detached from the beginning. A process that cannot be started is removed again. */
export async function runProcess(
  client: Client,
  request: ProcessRequest,
  steps: ProcessSteps,
): Promise<Outcome | undefined> {
  const { container, execId, terminal, paths, detach } = request;
  const target = { container_id: container, exec_id: execId };
  const attached = request.attached && !detach;
  let created = false;
  const release = attached ? (): void => undefined : holdFifos(paths);
  const session = openSession(client, { container, execId, terminal, paths: attached ? paths : NO_STDIO });
  try {
    await steps.create();
    created = true;
    if (!detach) session.watch();
    await client.tasks.Start(target);
    if (detach) return undefined;
    const outcome = await session.finish();
    if (outcome.kind === 'exited') {
      await steps.remove(client);
      removeFifos(paths);
    }
    return outcome;
  } catch (error) {
    if (created) await steps.remove(client.with({ signal: undefined, timeout: CLEANUP_MS })).catch(() => undefined);
    removeFifos(paths);
    throw error;
  } finally {
    release();
    session.close();
  }
}
