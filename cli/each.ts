// Commands that take several names go on when one of them fails.
import { isNotFound } from '../client/errors.ts';
import type { Context } from './command.ts';

/**
 * Resolves with the exit status: 1 when any failed. Failures go to stderr, one line each. With
 * `missing`, what does not exist is only worth those words: it is gone, as was wanted.
 */
export async function forEach(
  context: Context,
  names: readonly string[],
  action: (name: string) => Promise<void>,
  missing?: string,
): Promise<number> {
  let status = 0;
  for (const name of names) {
    try {
      await action(name);
    } catch (error) {
      if (missing !== undefined && isNotFound(error)) {
        context.note(`davit: ${name}: ${missing}\n`);
        continue;
      }
      status = 1;
      const { explain } = await import('./explain.ts');
      context.note(explain(error));
    }
  }
  return status;
}
