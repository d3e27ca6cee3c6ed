// A subscriber to the ends of tasks that never gives up: when its daemon goes, it subscribes to the next.
import { setTimeout as sleep } from 'node:timers/promises';
import { unpackMessage } from '../../client/any.ts';
import { connect } from '../../client/connect.ts';
import { listens } from './daemon.ts';
import { present } from './expect.ts';

export interface SeenExit {
  /** Of the process: the container's id, or the exec's. */
  readonly id: string;
  readonly container: string;
  readonly status: number;
}

export interface ExitWatch extends AsyncDisposable {
  readonly exits: readonly SeenExit[];
}

/** Of one namespace or of all. Resolves when it is subscribed for the first time. */
export async function watchExits(address: string, namespace?: string): Promise<ExitWatch> {
  const exits: SeenExit[] = [];
  const control = new AbortController();
  const filters = [`${namespace === undefined ? '' : `namespace==${namespace},`}topic=="/tasks/exit"`];

  async function follow(): Promise<void> {
    // A connection of its own each time: one that lost its daemon waits before it tries again.
    if (!(await listens(address))) return;
    using client = connect(address);
    for await (const { event } of client.events.Subscribe({ filters }, { signal: control.signal })) {
      const exit = present(unpackMessage(present(event))) as { id: string; container_id: string; exit_status: number };
      exits.push({ id: exit.id, container: exit.container_id, status: exit.exit_status });
    }
  }
  const over = (async () => {
    while (!control.signal.aborted) {
      await follow().catch(() => undefined);
      await sleep(20, undefined, { ref: false });
    }
  })();
  // Nothing tells when a subscription has begun.
  await sleep(300);
  return {
    exits,
    [Symbol.asyncDispose]() {
      control.abort();
      return over;
    },
  };
}
