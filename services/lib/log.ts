// The daemon's log. Program code logs; library code returns errors.
import winston from 'winston';

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

export interface LogOptions {
  readonly level: Level;
  readonly format: 'text' | 'json';
  readonly stream: NodeJS.WritableStream;
}

/** containerd's level names onto ours. */
const LEVELS: Readonly<Record<Level, string>> = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
  panic: 'error',
};

export function isLevel(text: string): text is Level {
  return Object.hasOwn(LEVELS, text);
}

export function createLogger(options: LogOptions): Logger {
  const logger = winston.createLogger({
    level: LEVELS[options.level],
    format: options.format === 'json' ? jsonFormat() : textFormat(),
    transports: [new winston.transports.Stream({ stream: options.stream, eol: '\n' })],
  });
  return wrap(logger, {});
}

function wrap(logger: winston.Logger, own: Fields): Logger {
  const write = (level: string, message: string, fields: Fields | undefined): void => {
    if (logger.isLevelEnabled(level)) logger.log(level, message, plain({ ...own, ...fields }));
  };
  return {
    get debugEnabled() {
      return logger.isLevelEnabled('debug');
    },
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    with: (fields) => wrap(logger, { ...own, ...fields }),
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

function jsonFormat(): winston.Logform.Format {
  const { combine, timestamp, json } = winston.format;
  return combine(timestamp({ alias: 'time' }), json());
}

/** `time="…" level=info msg="…" key=value`, as containerd's text log. */
function textFormat(): winston.Logform.Format {
  return winston.format.printf((info) => {
    const { level, message, ...rest } = info;
    const fields = Object.entries(rest).map(([key, value]) => ` ${key}=${quote(value)}`);
    return `time="${new Date().toISOString()}" level=${level} msg=${JSON.stringify(String(message))}${fields.join('')}`;
  });
}

function quote(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  return /^[A-Za-z0-9_./:@-]+$/.test(text) ? text : JSON.stringify(text);
}
