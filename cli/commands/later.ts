// Commands that ctr has and davit does not have yet.
import { ClientError } from '../../client/errors.ts';
import { define, type Verb } from '../command.ts';

/** A command that says what is missing. */
export function later(summary: string, needs: string): Verb {
  const command = define({
    usage: '[arguments...]',
    description: `Not there yet: needs ${needs}.`,
    flags: {},
    stopAtFirst: true,
    examples: [],
    run: () =>
      Promise.reject(
        new ClientError('not implemented', `needs ${needs}, which comes with a later release: not implemented`),
      ),
  });
  return { kind: 'verb', aliases: [], summary, load: () => Promise.resolve({ command }) };
}
