// One question to many shims. Each is asked by the addon over a connection of its own: in JavaScript that
// takes longer than a shim takes to answer.
import type { TaskService } from '../../proto/gen/containerd.task.v2.ts';
import type { Input } from '../../proto/rpc.ts';
import { Failure, kindOf } from '../lib/errors.ts';
import { createLimit } from '../lib/limit.ts';
import type { Asked, ShimTask } from './shim-task.ts';

export type AskAll = (
  questions: readonly { readonly path: string; readonly frame: Uint8Array }[],
  timeoutMs: number,
) => Promise<(Buffer | string)[]>;

type Arguments<M extends Asked> = Omit<Input<TaskService[M]['request']>, 'id'>;
type Outcome<M extends Asked> = TaskService[M]['response'] | Error;

/** Fewer than this many are called over the connections that are there. */
const FEW = 4;

/** Questions at a time: each takes a thread, and a descriptor per task. */
const WIDTH = 4;

/** The outcomes are in the order of the tasks; none takes longer than twice `timeoutMs`. */
export function createAskAll(askAll: AskAll) {
  const limit = createLimit(WIDTH);

  async function callEach<M extends Asked>(task: ShimTask, method: M, timeoutMs: number): Promise<Outcome<M>> {
    try {
      return await task.call(method, {} as Arguments<M>, { timeoutMs });
    } catch (error) {
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  return async <M extends Asked>(tasks: readonly ShimTask[], method: M, timeoutMs: number): Promise<Outcome<M>[]> => {
    if (tasks.length < FEW) return Promise.all(tasks.map((task) => callEach(task, method, timeoutMs)));
    const answers = await limit(() =>
      askAll(
        tasks.map((task) => ({ path: task.socket.replace(/^\0/, '@'), frame: task.question(method) })),
        timeoutMs,
        // No thread to be had: they are called one by one.
      ).catch(() => []),
    );
    const outcomeOf = async (task: ShimTask, answer: Buffer | string | undefined): Promise<Outcome<M>> => {
      if (answer === 'ETIMEDOUT') {
        return new Failure('deadline exceeded', `shim of task ${task.id} does not answer: deadline exceeded`);
      }
      // Its own connection tells what is the matter: that it is gone, or speaks another version.
      if (typeof answer === 'string' || answer === undefined) return callEach(task, method, timeoutMs);
      try {
        return task.answer(method, answer);
      } catch (error) {
        if (kindOf(error) === 'not implemented') return callEach(task, method, timeoutMs);
        return error instanceof Error ? error : new Error(String(error));
      }
    };
    return Promise.all(tasks.map((task, index) => outcomeOf(task, answers[index])));
  };
}
