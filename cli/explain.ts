// Errors for people: what happened, and what to do about it.
import { ClientError } from '../client/errors.ts';

/** Lines for stderr. The first is `davit: ` and the error's own text, which scripts may match. */
export function explain(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const hint = error instanceof ClientError ? hintFor(error) : undefined;
  const lines = [`davit: ${message}`];
  if (hint !== undefined) lines.push(`hint: ${hint}`);
  if (process.argv.includes('--debug')) lines.push(...stacks(error));
  return `${lines.join('\n')}\n`;
}

const HINTS: readonly (readonly [RegExp, string])[] = [
  [
    /connect ENOENT (\S+?)\.?( |$)/,
    'no daemon listens there; start davitd, or name its socket with --address or DAVIT_ADDRESS',
  ],
  [/connect ECONNREFUSED/, 'the socket is there but nobody listens; the daemon has died or is still starting'],
  [/connect EACCES/, "the socket is the administrator's; run davit as root"],
  [
    /^image ".*": not found$/,
    '`davit images ls` shows the images of this namespace; `davit images import FILE` adds one',
  ],
  [
    /^container ".*"( in namespace ".*")?: not found$/,
    '`davit containers ls` shows those of this namespace; --namespace chooses another',
  ],
  [
    /^snapshot .*: already exists$/,
    'a container or snapshot of this name is left over; `davit snapshots rm NAME` removes it',
  ],
  [/^container ".*": already exists$/, 'choose another ID, or remove that one with `davit containers rm ID`'],
  [/snapshotter not loaded/, '`davit plugins ls` shows the snapshotters that this daemon has'],
];

function hintFor(error: ClientError): string | undefined {
  return HINTS.find(([pattern]) => pattern.test(error.message))?.[1];
}

function stacks(error: unknown): string[] {
  const lines: string[] = [];
  for (let current = error; current instanceof Error; current = current.cause) {
    if (lines.length > 0) lines.push('caused by:');
    lines.push(current.stack ?? current.message);
  }
  return lines;
}
