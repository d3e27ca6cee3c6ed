// The filter language of containerd's list calls.
//
//   filter    := selector (',' selector)*        all must match
//   selector  := fieldpath [operator value]      without operator: the field is present
//   fieldpath := field ('.' field)*
//   field     := [A-Za-z0-9_]+ | "quoted"
//   operator  := '==' | '!=' | '~='
//   value     := [^\s,]+ | "quoted"              for ~= also /quoted/ and |quoted|
//
// Of several filters one must match. White space between tokens is skipped. `~=` takes RE2's syntax
// and runs in linear time.
import { RE2JS } from 're2js';
import { invalidArgument } from './errors.ts';
import { FilterReader, SyntaxFault } from './filter-reader.ts';

/** The value of a field of the object that is filtered; undefined when it is not present. */
export type Adaptor = (fieldpath: readonly string[]) => string | undefined;

export type Filter = (adaptor: Adaptor) => boolean;

const MATCH_ALL: Filter = () => true;

/**
 * The filter that lets pass what any of `filters` matches; everything when there is none.
 * Throws `invalid argument` for a filter that cannot be parsed.
 */
export function parseFilters(filters: readonly string[]): Filter {
  if (filters.length === 0) return MATCH_ALL;
  const parsed = filters.map(parseFilter);
  if (parsed.includes(MATCH_ALL)) return MATCH_ALL;
  return (adaptor) => parsed.some((filter) => filter(adaptor));
}

/** The field `<map>.<key>` of a map: everything after the first part of the path is the key. */
export function mapField(map: ReadonlyMap<string, string>, fieldpath: readonly string[]): string | undefined {
  return map.get(fieldpath.slice(1).join('.'));
}

function parseFilter(text: string): Filter {
  if (text === '') return MATCH_ALL;
  try {
    const selectors = parseSelectors(new FilterReader(text));
    return (adaptor) => selectors.every((selector) => selector(adaptor));
  } catch (error) {
    if (!(error instanceof SyntaxFault)) throw error;
    throw invalidArgument(`filters: parse error: ${error.message}`);
  }
}

function parseSelectors(reader: FilterReader): Filter[] {
  const selectors = [parseSelector(reader)];
  while (!reader.atEnd()) {
    if (reader.peek() !== ',') throw reader.faultAtPeek(`unexpected input: ${reader.peek()}`);
    reader.skip();
    selectors.push(parseSelector(reader));
  }
  return selectors;
}

function parseSelector(reader: FilterReader): Filter {
  const fieldpath = [reader.field()];
  while (reader.peek() === '.') {
    reader.skip();
    fieldpath.push(reader.field());
  }
  if (reader.atEnd() || reader.peek() === ',') return (adaptor) => adaptor(fieldpath) !== undefined;
  const operator = reader.operator();
  const value = reader.value(operator === '~=');
  if (operator === '==') return (adaptor) => adaptor(fieldpath) === value;
  // What is not present compares as the empty string.
  if (operator === '!=') return (adaptor) => (adaptor(fieldpath) ?? '') !== value;
  const matches = compile(value);
  return (adaptor) => matches(adaptor(fieldpath) ?? '');
}

/** A regular expression that cannot be compiled matches nothing, as in containerd. */
function compile(pattern: string): (text: string) => boolean {
  let expression: RE2JS;
  try {
    expression = RE2JS.compile(pattern);
  } catch {
    return () => false;
  }
  return (text) => expression.test(text);
}
