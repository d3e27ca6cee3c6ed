// The header WWW-Authenticate: what a registry wants to see before it answers.

export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** By name in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_LENGTH = 8192;
const PART =
  /\s*(?:([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))|([A-Za-z0-9-]+)(?=\s|$))\s*,?/y;

/** Of all headers of that name; stops at what it cannot read. */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  const challenges: Challenge[] = [];
  for (const header of headers) {
    if (header.length > MAX_LENGTH) continue;
    let parameters: Map<string, string> | undefined;
    PART.lastIndex = 0;
    for (let part = PART.exec(header); part !== null; part = PART.exec(header)) {
      const [, name, quoted, plain, scheme] = part;
      if (scheme !== undefined) {
        parameters = new Map();
        challenges.push({ scheme: scheme.toLowerCase(), parameters });
      } else if (name !== undefined) {
        parameters?.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
      }
    }
  }
  return challenges;
}
