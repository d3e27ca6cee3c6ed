// The instructions of a Dockerfile that change an image's config: `--change` of `davit commit`.
import path from 'node:path';
import { parseDuration } from '../args/duration.ts';
import { words } from './words.ts';

/** The `config` of an image: Docker's names, which OCI has taken over. */
export interface Config {
  Entrypoint?: readonly string[] | null;
  Cmd?: readonly string[] | null;
  Env?: readonly string[] | null;
  Labels?: Readonly<Record<string, string>> | null;
  ExposedPorts?: Readonly<Record<string, object>> | null;
  Volumes?: Readonly<Record<string, object>> | null;
  OnBuild?: readonly string[] | null;
  Shell?: readonly string[] | null;
  Healthcheck?: object;
  StopSignal?: string;
  User?: string;
  WorkingDir?: string;
}

const DEFAULT_SHELL = ['/bin/sh', '-c'];
const NANOSECONDS = 1e6;

/** `config` after the instructions, in their order. Throws an Error for what is none. */
export function changedConfig(config: Readonly<Record<string, unknown>>, changes: readonly string[]): Readonly<Config> {
  const changed: Config = { ...config };
  const state = { commandSet: false };
  for (const change of changes) {
    const [, name = '', rest = ''] = /^\s*(\S+)\s*([\s\S]*?)\s*$/.exec(change) ?? [];
    const instruction = INSTRUCTIONS[name.toUpperCase()];
    if (instruction === undefined)
      throw new Error(`change "${change}": not one of ${Object.keys(INSTRUCTIONS).join(', ')}`);
    try {
      if (rest === '') throw new Error('needs a value');
      instruction(changed, rest, state);
    } catch (error) {
      throw new Error(`change "${change}": ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }
  return changed;
}

type Instruction = (config: Config, rest: string, state: { commandSet: boolean }) => void;

const INSTRUCTIONS: Readonly<Record<string, Instruction>> = {
  CMD(config, rest, state) {
    config.Cmd = command(config, rest);
    state.commandSet = true;
  },
  ENTRYPOINT(config, rest, state) {
    config.Entrypoint = command(config, rest);
    // The arguments of another entry point are none of this one's.
    if (!state.commandSet) delete config.Cmd;
  },
  ENV(config, rest) {
    const env = new Map((config.Env ?? []).map((entry) => [entry.split('=', 1)[0], entry]));
    for (const [key, value] of pairs(config, rest)) env.set(key, `${key}=${value}`);
    config.Env = [...env.values()];
  },
  EXPOSE(config, rest) {
    const ports = words(rest, variable(config)).map((port) => {
      if (!/^\d+(-\d+)?(\/(tcp|udp|sctp))?$/i.test(port)) throw new Error(`"${port}" is no port such as 80 or 53/udp`);
      return port.includes('/') ? port.toLowerCase() : `${port}/tcp`;
    });
    config.ExposedPorts = { ...config.ExposedPorts, ...emptyObjects(ports) };
  },
  HEALTHCHECK(config, rest) {
    config.Healthcheck = healthcheck(rest);
  },
  LABEL(config, rest) {
    config.Labels = { ...config.Labels, ...Object.fromEntries(pairs(config, rest)) };
  },
  ONBUILD(config, rest) {
    if (/^(ONBUILD|FROM|MAINTAINER)\b/i.test(rest)) throw new Error('this cannot be done ONBUILD');
    config.OnBuild = [...(config.OnBuild ?? []), rest];
  },
  SHELL(config, rest) {
    const shell = jsonWords(rest);
    if (shell === undefined || shell.length === 0) throw new Error('must be like ["/bin/bash", "-c"]');
    config.Shell = shell;
  },
  STOPSIGNAL(config, rest) {
    config.StopSignal = words(rest, variable(config)).join(' ');
  },
  USER(config, rest) {
    config.User = words(rest, variable(config)).join(' ');
  },
  VOLUME(config, rest) {
    config.Volumes = { ...config.Volumes, ...emptyObjects(jsonWords(rest) ?? words(rest, variable(config))) };
  },
  WORKDIR(config, rest) {
    config.WorkingDir = path.posix.resolve('/', config.WorkingDir ?? '', words(rest, variable(config)).join(' '));
  },
};

/** `["a", "b"]`, or a line for the shell. */
function command(config: Config, rest: string): readonly string[] {
  return jsonWords(rest) ?? [...(config.Shell ?? DEFAULT_SHELL), rest];
}

function jsonWords(rest: string): readonly string[] | undefined {
  if (!rest.startsWith('[')) return undefined;
  try {
    const value: unknown = JSON.parse(rest);
    return Array.isArray(value) && value.every((word) => typeof word === 'string') ? value : undefined;
  } catch {
    return undefined;
  }
}

/** `a=1 b="2 3"`, or the older `a 1 2`. */
function pairs(config: Config, rest: string): (readonly [string, string])[] {
  const lookup = variable(config);
  const [first = ''] = rest.split(/\s/, 1);
  if (!first.includes('=')) {
    const value = rest.slice(first.length).trim();
    if (value === '') throw new Error('must be like KEY=VALUE');
    return [[first, words(value, lookup).join(' ')]];
  }
  return words(rest, lookup).map((word) => {
    const at = word.indexOf('=');
    if (at < 1) throw new Error(`"${word}" is not like KEY=VALUE`);
    return [word.slice(0, at), word.slice(at + 1)];
  });
}

/** Of the image's environment. */
function variable(config: Config): (name: string) => string | undefined {
  return (name) => (config.Env ?? []).find((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

function emptyObjects(names: readonly string[]): Record<string, object> {
  return Object.fromEntries(names.map((name) => [name, {}]));
}

const HEALTH_TIMES: Readonly<Record<string, string>> = {
  interval: 'Interval',
  timeout: 'Timeout',
  'start-period': 'StartPeriod',
  'start-interval': 'StartInterval',
};

function healthcheck(text: string): object {
  const settings: Record<string, number> = {};
  let rest = text;
  for (let option; (option = /^--([a-z-]+)=(\S+)\s*/.exec(rest)) !== null; rest = rest.slice(option[0].length)) {
    const [, name = '', value = ''] = option;
    const time = HEALTH_TIMES[name];
    if (time !== undefined) settings[time] = Math.round(parseDuration(value) * NANOSECONDS);
    else if (name === 'retries' && /^\d+$/.test(value)) settings['Retries'] = Number(value);
    else throw new Error(`"--${name}=${value}" is no option of HEALTHCHECK`);
  }
  if (/^NONE$/i.test(rest)) return { Test: ['NONE'] };
  const [, line = ''] = /^CMD\s+([\s\S]+)$/i.exec(rest) ?? [];
  if (line === '') throw new Error('must be NONE or CMD with a command');
  const exec = jsonWords(line);
  return { Test: exec === undefined ? ['CMD-SHELL', line] : ['CMD', ...exec], ...settings };
}
