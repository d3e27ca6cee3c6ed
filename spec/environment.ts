// Environments: lists of `KEY=value`.

/** `base` with `changes` in it: a key that is there is replaced in place, `KEY` without `=` removes it. */
export function mergeEnvironment(base: readonly string[], changes: readonly string[]): string[] {
  const merged = new Map(base.map((entry) => [keyOf(entry), entry]));
  for (const change of changes) {
    if (change.includes('=')) merged.set(keyOf(change), change);
    else merged.delete(change);
  }
  return [...merged.values()];
}

/** The entries of an environment file: one per line; empty lines and `#` lines are skipped. */
export function parseEnvironmentFile(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.replace(/\r$/, '').trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

export function hasVariable(environment: readonly string[], key: string): boolean {
  return environment.some((entry) => keyOf(entry) === key);
}

function keyOf(entry: string): string {
  const equals = entry.indexOf('=');
  return equals < 0 ? entry : entry.slice(0, equals);
}
