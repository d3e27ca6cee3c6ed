// Words as a Dockerfile's instructions have them: quotes, backslashes, variables.

const VARIABLE = /^\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})/;

/**
 * `a "b c" $D` as three words. Within '...' everything is meant as it stands; elsewhere $NAME, ${NAME},
 * ${NAME:-default} and ${NAME:+instead} are replaced. Throws an Error for a quote without an end.
 */
export function words(text: string, lookup: (name: string) => string | undefined): string[] {
  const found: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let at = 0; at < text.length; at++) {
    const char = text[at] as string;
    if (quote === '' && /\s/.test(char)) {
      if (word !== undefined) found.push(word);
      word = undefined;
    } else if (char === quote) quote = '';
    else if (quote === '' && (char === '"' || char === "'")) {
      quote = char;
      word ??= '';
    } else if (char === '\\' && quote !== "'" && at + 1 < text.length) {
      const next = text[++at] as string;
      // Within "..." a backslash means itself, except before what would mean something.
      word = (word ?? '') + (quote === '"' && !'"$\\'.includes(next) ? `\\${next}` : next);
    } else if (char === '$' && quote !== "'") {
      const [matched = '$', value = '$'] = variable(text.slice(at), lookup);
      at += matched.length - 1;
      word = (word ?? '') + value;
    } else word = (word ?? '') + char;
  }
  if (quote !== '') throw new Error(`a ${quote} is never closed`);
  if (word !== undefined) found.push(word);
  return found;
}

function variable(text: string, lookup: (name: string) => string | undefined): [string, string] | [] {
  const match = VARIABLE.exec(text);
  if (match === null) return [];
  const [whole, plain, braced, operator, other = ''] = match;
  const value = lookup(plain ?? braced ?? '') ?? '';
  if (operator === ':-') return [whole, value === '' ? other : value];
  if (operator === ':+') return [whole, value === '' ? '' : other];
  return [whole, value];
}
