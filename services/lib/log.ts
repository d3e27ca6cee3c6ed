// The daemon's log. Program code logs; library code returns errors.
import type * as Winston from 'winston';

export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'panic';
export type Fields = Readonly<Record<string, unknown>>;

export interface Logger {
  readonly debugEnabled: boolean;
  debug(message: string, fields?: Fields): void;
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** A logger whose lines all carry `fields`. */
  with(fields: Fields): Logger;
}

/** The log as its owner has it. */
export interface Log extends Logger {
  /** Lines wait, with their time, until this is called: loading winston is the longest part of a start. */
  open(): Promise<void>;
}

export interface LogOptions {
  readonly level: Level;
  readonly format: 'text' | 'json';
  readonly stream: NodeJS.WritableStream;
}

/** containerd's level names onto ours. */
const LEVELS: Readonly<Record<Level, Line['level']>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
};

const ORDER: readonly Line['level'][] = ['debug', 'info', 'warn', 'error'];

export function isLevel(text: string): text is Level {
  return Object.hasOwn(LEVELS, text);
}

interface Line {
  readonly level: Exclude<keyof Logger, 'with' | 'debugEnabled'>;
  readonly message: string;
  readonly fields: Record<string, unknown>;
}

export function createLogger(options: LogOptions): Log {
  const lowest = ORDER.indexOf(LEVELS[options.level]);
  let waiting: Line[] | undefined = [];
  let logger: Winston.Logger | undefined;
  const write = (line: Line): void => {
    if (ORDER.indexOf(line.level) < lowest) return;
    if (logger === undefined) waiting?.push(line);
    else logger.log(line.level, line.message, line.fields);
  };
  return {
    ...wrap(write, ORDER[lowest] === 'debug', {}),
    async open() {
      if (waiting === undefined) return;
      const { default: winston } = await import('winston');
      logger = winston.createLogger({
        level: LEVELS[options.level],
        format: options.format === 'json' ? winston.format.json() : winston.format.printf(textOf),
        transports: [new winston.transports.Stream({ stream: options.stream, eol: '\n' })],
      });
      for (const line of waiting ?? []) write(line);
      waiting = undefined;
    },
  };
}

function wrap(write: (line: Line) => void, debugEnabled: boolean, own: Fields): Logger {
  const at =
    (level: Line['level']) =>
    (message: string, fields?: Fields): void =>
      write({ level, message, fields: { time: new Date().toISOString(), ...plain({ ...own, ...fields }) } });
  return {
    debugEnabled,
    debug: debugEnabled ? at('debug') : () => undefined,
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => wrap(write, debugEnabled, { ...own, ...fields }),
  };
}

/** Errors become their text; the stack is kept where nobody classified the error. */
function plain(fields: Fields): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (!(value instanceof Error)) {
      out[key === 'message' ? 'text' : key] = value;
      continue;
    }
    out[key] = value.message;
    if (value.name !== 'Failure' && value.stack !== undefined) out['stack'] = value.stack;
  }
  return out;
}

/** `time="…" level=info msg="…" key=value`, as containerd's text log. */
function textOf({ level, message, time, ...rest }: Winston.Logform.TransformableInfo): string {
  const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${quote(value)}`);
  return `time="${String(time)}" level=${level} msg=${JSON.stringify(String(message))}${fields.join('')}`;
}

function quote(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return /^[A-Za-z0-9_./:@-]+$/.test(text) ? text : JSON.stringify(text);
}
