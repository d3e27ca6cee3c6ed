// Works that belong together: when one fails the others are stopped, and nothing goes on afterwards.
import { setMaxListeners } from 'node:events';

/** Resolves when all have. Rejects with the first failure, when all have ended. */
export async function together(
  signal: AbortSignal,
  works: readonly ((signal: AbortSignal) => Promise<unknown>)[],
): Promise<void> {
  const group = new AbortController();
  const joint = AbortSignal.any([signal, group.signal]);
  // Each work may listen.
  setMaxListeners(0, joint);
  const failures: unknown[] = [];
  await Promise.all(
    works.map((work) =>
      work(joint).catch((error: unknown) => {
        failures.push(error);
        group.abort(error);
      }),
    ),
  );
  if (failures.length > 0) throw failures[0];
}
