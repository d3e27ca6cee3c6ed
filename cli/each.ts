// Commands that take several names go on when one of them fails.
import type { Context } from './command.ts';

/** Resolves with the exit status: 1 when any failed. Failures go to stderr, one line each. */
export async function forEach(
  context: Context,
  names: readonly string[],
  action: (name: string) => Promise<void>,
): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      await action(name);
    } catch (error) {
      status = 1;
      const { explain } = await import('./explain.ts');
      context.note(explain(error));
    }
  }
  return status;
}
