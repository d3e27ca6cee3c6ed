// How long others are waited for.
import { unavailable } from '../../lib/errors.ts';

/** Does the work; after so many milliseconds its signal aborts, and `unavailable` is thrown that begins with `what`. */
export async function within<T>(
  milliseconds: number,
  what: string,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = new AbortController();
  const end = (): void => late.abort(unavailable(`${what}: not complete within ${milliseconds / 1000} s`));
  const timer = setTimeout(end, milliseconds);
  try {
    return await work(AbortSignal.any([signal, late.signal]));
  } finally {
    clearTimeout(timer);
  }
}
