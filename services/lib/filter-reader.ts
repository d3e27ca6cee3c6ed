// Reads the tokens of a filter, and says where it went wrong.

/** `message` shows the place: `[before >|x|< after]: what is wrong`. */
export class SyntaxFault extends Error {}

const SPACE = /^\p{White_Space}$/u;
const VALUE = /^[\p{L}\p{M}\p{N}\p{P}\p{S}]$/u;
const FIELD = /^[A-Za-z0-9_]$/;
const ESCAPES: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92 };
/** Digits and base of numeric escapes. */
const NUMERIC: Readonly<Record<string, readonly [count: number, base: number]>> = {
  x: [2, 16],
  u: [4, 16],
  U: [8, 16],
};

export class FilterReader {
  /** Code points, so that a position never splits one. */
  readonly #input: readonly string[];
  #position = 0;

  constructor(text: string) {
    this.#input = [...text];
  }

  atEnd(): boolean {
    return this.#position >= this.#input.length;
  }

  /** The next character, unread; empty at the end. */
  peek(): string {
    return this.#input[this.#position] ?? '';
  }

  skip(): void {
    this.#position++;
  }

  faultAtPeek(problem: string): SyntaxFault {
    return this.#fault(this.#position, problem);
  }

  field(): string {
    const start = this.#skipSpace();
    if (isQuote(this.peek())) return this.#quoted(start, false);
    const text = this.#run(FIELD);
    if (text === '') throw this.#fault(start, 'expected field or quoted');
    return text;
  }

  operator(): '==' | '!=' | '~=' {
    const start = this.#skipSpace();
    const text = this.#run(/^[=!~]$/);
    if (text === '==' || text === '!=' || text === '~=') return text;
    if (text === '') throw this.#fault(start, 'expected an operator ("=="|"!="|"~=")');
    throw this.#fault(start, `unsupported operator "${text}"`);
  }

  value(anyQuote: boolean): string {
    const start = this.#skipSpace();
    const first = this.peek();
    if (isQuote(first)) return this.#quoted(start, anyQuote);
    if (first === '' || /^[,.=!~]$/.test(first)) throw this.#fault(start, 'expected value or quoted');
    this.skip();
    return first + this.#run(VALUE, ',');
  }

  /** Reads characters of a class, up to `stop`. */
  #run(class_: RegExp, stop?: string): string {
    const start = this.#position;
    while (!this.atEnd() && class_.test(this.peek()) && this.peek() !== stop) this.skip();
    return this.#input.slice(start, this.#position).join('');
  }

  #skipSpace(): number {
    while (!this.atEnd() && SPACE.test(this.peek())) this.skip();
    const character = this.peek();
    if (character === '\0') throw this.#fault(this.#position, 'unexpected null');
    if (character === '\uFFFD' || /^[\uD800-\uDFFF]$/.test(character)) throw this.#fault(this.#position, 'rune error');
    return this.#position;
  }

  #quoted(start: number, anyQuote: boolean): string {
    const quote = this.peek();
    this.skip();
    const bytes: Buffer[] = [];
    for (;;) {
      const character = this.peek();
      if (character === '' || character === '\n' || character === '\0')
        throw this.#fault(start, 'quoted literal not terminated');
      this.skip();
      if (character === quote) break;
      bytes.push(character === '\\' ? this.#escape(start, quote) : Buffer.from(character));
    }
    if (!anyQuote && quote !== '"') throw this.#fault(start, 'invalid quote encountered');
    return Buffer.concat(bytes).toString('utf8');
  }

  #escape(start: number, quote: string): Buffer {
    const character = this.peek();
    this.skip();
    if (character === quote) return Buffer.from(quote);
    const simple = ESCAPES[character];
    if (simple !== undefined) return Buffer.of(simple);
    const numeric = NUMERIC[character];
    if (numeric !== undefined) return this.#codePoint(start, character, this.#digits(start, ...numeric));
    if (!/^[0-7]$/.test(character)) throw this.#fault(start, 'illegal escape sequence');
    this.#position--;
    const value = this.#digits(start, 3, 8);
    if (value > 255) throw this.#fault(start, 'unquoting failed: quote syntax error');
    return Buffer.of(value);
  }

  /** `\x` is a byte, `\u` and `\U` are code points. */
  #codePoint(start: number, escape: string, value: number): Buffer {
    if (escape === 'x') return Buffer.of(value);
    if (value > 0x10ffff) throw this.#fault(start, 'unquoting failed: quote syntax error');
    return Buffer.from(String.fromCodePoint(value));
  }

  #digits(start: number, count: number, base: number): number {
    let value = 0;
    for (let read = 0; read < count; read++) {
      const digit = parseInt(this.peek(), base);
      if (Number.isNaN(digit)) throw this.#fault(start, 'illegal numeric escape sequence');
      value = value * base + digit;
      this.skip();
    }
    return value;
  }

  #fault(position: number, problem: string): SyntaxFault {
    const at = (from: number, to?: number): string => this.#input.slice(from, to).join('');
    if (position >= this.#input.length) return new SyntaxFault(`[${at(0)}]: ${problem}`);
    return new SyntaxFault(`[${at(0, position)} >|${at(position, position + 1)}|< ${at(position + 1)}]: ${problem}`);
  }
}

function isQuote(character: string): boolean {
  return character === '"' || character === '/' || character === '|';
}
