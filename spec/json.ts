// config.json as text, with every number exact: a limit of 9223372036854771712 stays what it is.
import { parse, stringify } from 'lossless-json';

/** JSON whose integers beyond 2^53 are bigints. Throws a SyntaxError. */
export function parseJson(text: string): unknown {
  return parse(text, undefined, { parseNumber: exactNumber });
}

/** The opposite of parseJson. */
export function jsonText(value: unknown, indent?: string | number): string {
  return stringify(value, undefined, indent) ?? 'null';
}

function exactNumber(text: string): number | bigint {
  const value = Number(text);
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(value) ? BigInt(text) : value;
}
