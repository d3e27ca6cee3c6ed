// What is to be done should this program die in the middle of something, by kill -9 also.
import { spawn } from 'node:child_process';

/** Reads until our end of the pipe is closed: by our death, or after a word that all is well. */
const WAIT = 'read -r word && exit 0; exec "$0" "$@"';

/**
 * Leaves a process that waits for our end, and then runs this program with these arguments. Nothing is run once the
 * result is disposed of.
 */
export function lastWords(args: readonly string[]): Disposable {
  // A group of its own: ^C is for us.
  const waiting = spawn('/bin/sh', ['-c', WAIT, process.argv[1] ?? '', ...args], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  // Without it there is no guard, as there was none before.
  for (const each of [waiting, waiting.stdin]) each.on('error', () => undefined);
  waiting.unref();
  return { [Symbol.dispose]: () => void waiting.stdin.end('done\n') };
}
