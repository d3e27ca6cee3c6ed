// Secrets, typed without being shown.
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { MissingArgument } from '../command.ts';

/** One line from the terminal. Throws where there is none: a script is not to wait for a person. */
export async function askSecret(prompt: string): Promise<string> {
  if (!process.stdin.isTTY) throw new MissingArgument('no terminal to ask for the password; write it as user:password');
  process.stderr.write(prompt);
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input: process.stdin, output: nowhere, terminal: true });
  try {
    return await new Promise<string>((resolve, reject) => {
      lines.once('line', resolve);
      lines.once('SIGINT', () => reject(new MissingArgument('no password')));
      lines.once('close', () => reject(new MissingArgument('no password')));
    });
  } finally {
    lines.close();
    process.stderr.write('\n');
  }
}
