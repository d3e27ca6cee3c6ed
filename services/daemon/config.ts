// The configuration: containerd's TOML file, with its names where they mean the same here.
//
// Layers, later ones win: defaults, the file, the files it imports (in order), command line flags.
// Versions 1 to 4 of containerd's format are read; sections of plugins that davit does not have are
// kept, so that `config dump` shows them, and are otherwise ignored.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TomlTable } from 'smol-toml';
import { Failure, errnoCode } from '../lib/errors.ts';
import { defaults, type Config } from './defaults.ts';

export const LATEST_VERSION = 3;

/** What the command line may set; it beats the files. */
export interface Overrides {
  readonly address?: string | undefined;
  readonly root?: string | undefined;
  readonly state?: string | undefined;
  readonly logLevel?: string | undefined;
}

/**
 * Reads the configuration. `file` undefined means the default path, which need not exist.
 * Throws `invalid argument` that names file and key for what cannot be used.
 */
export async function loadConfig(file: string | undefined, fallback: string, overrides: Overrides): Promise<Config> {
  const config = defaults();
  if (file !== undefined) await mergeFile(config, file, new Set());
  else await mergeFile(config, fallback, new Set()).catch(ignoreMissing);
  if (overrides.address !== undefined) config.grpc.address = overrides.address;
  if (overrides.root !== undefined) config.root = overrides.root;
  if (overrides.state !== undefined) config.state = overrides.state;
  if (overrides.logLevel !== undefined) config.debug.level = overrides.logLevel;
  validate(config);
  return config;
}

/** The configuration as a TOML file of the latest version. */
export async function formatConfig(config: Config): Promise<string> {
  const { stringify } = await import('smol-toml');
  return stringify({ ...config, version: LATEST_VERSION }) + '\n';
}

async function mergeFile(config: Config, file: string, seen: Set<string>): Promise<void> {
  const absolute = path.resolve(file);
  if (seen.has(absolute)) return;
  seen.add(absolute);
  const text = await readFile(absolute, 'utf8');
  const table = await parseToml(text, absolute);
  const version = table['version'] ?? 1;
  if (typeof version !== 'number' || version < 1 || version > 4) {
    throw new Failure(
      'invalid argument',
      `configuration ${absolute}: version ${JSON.stringify(version)} is not known (1 to 4 are): invalid argument`,
    );
  }
  merge(config as unknown as TomlTable, migrate(table, version), absolute, '');
  const imports = table['imports'] ?? [];
  if (!Array.isArray(imports) || !imports.every((item) => typeof item === 'string'))
    throw new Failure(
      'invalid argument',
      `configuration ${absolute}: imports must be a list of paths: invalid argument`,
    );
  for (const pattern of imports) {
    for (const match of await expand(pattern, path.dirname(absolute))) await mergeFile(config, match, seen);
  }
}

/** The files that an import names; `*` and `?` may stand in the last part of the path. */
async function expand(pattern: string, folder: string): Promise<string[]> {
  const absolute = path.resolve(folder, pattern);
  const name = path.basename(absolute);
  if (!/[*?]/.test(name)) return [absolute];
  const source = name
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  const matches = new RegExp(`^${source}$`);
  const parent = path.dirname(absolute);
  const entries = await readdir(parent).catch((error: unknown) => (ignoreMissing(error), []));
  return entries
    .filter((entry) => matches.test(entry))
    .sort()
    .map((entry) => path.join(parent, entry));
}

async function parseToml(text: string, file: string): Promise<TomlTable> {
  const { parse } = await import('smol-toml');
  try {
    return parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new Failure('invalid argument', `configuration ${file}: ${reason}: invalid argument`, { cause: error });
  }
}

/** Names that changed between versions of containerd's format. */
const RENAMED: Readonly<Record<string, string>> = {
  scheduler: 'io.containerd.gc.v1.scheduler',
  overlayfs: 'io.containerd.snapshotter.v1.overlayfs',
  'io.containerd.server.v1.grpc': 'grpc',
  'io.containerd.server.v1.ttrpc': 'ttrpc',
  'io.containerd.server.v1.metrics': 'metrics',
  'io.containerd.server.v1.debug': 'debug',
};

const TOP_LEVEL = new Set(['grpc', 'ttrpc', 'metrics', 'debug']);

function migrate(table: TomlTable, version: number): TomlTable {
  const plugins = table['plugins'];
  if (!isTable(plugins)) return table;
  const out: TomlTable = { ...table };
  const kept: TomlTable = {};
  for (const [name, section] of Object.entries(plugins)) {
    const renamed = version === 1 || name.startsWith('io.containerd.server.') ? (RENAMED[name] ?? name) : name;
    if (TOP_LEVEL.has(renamed) && isTable(section)) {
      out[renamed] = { ...(isTable(out[renamed]) ? out[renamed] : {}), ...section };
    } else {
      kept[renamed] = section;
    }
  }
  out['plugins'] = kept;
  return out;
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Deep merge; a value must have the type of the default that it replaces. */
function merge(into: TomlTable, from: TomlTable, file: string, prefix: string): void {
  for (const [key, value] of Object.entries(from)) {
    const name = prefix + key;
    const present = Object.hasOwn(into, key) ? into[key] : undefined;
    if (isTable(present) && isTable(value)) {
      merge(present, value, file, `${name}.`);
      continue;
    }
    if (present !== undefined && kind(present) !== kind(value)) {
      throw new Failure(
        'invalid argument',
        `configuration ${file}: ${name} must be a ${kind(present)}, not a ${kind(value)}: invalid argument`,
      );
    }
    if (key !== '__proto__') into[key] = value;
  }
}

function kind(value: unknown): string {
  if (Array.isArray(value)) return 'list';
  if (isTable(value)) return 'table';
  return typeof value === 'bigint' ? 'number' : typeof value;
}

function validate(config: Config): void {
  for (const [name, value] of [
    ['root', config.root],
    ['state', config.state],
    ['grpc.address', config.grpc.address],
  ] as const) {
    if (!path.isAbsolute(value)) {
      throw new Failure(
        'invalid argument',
        `configuration: ${name} must be an absolute path, not "${value}": invalid argument`,
      );
    }
  }
  if (config.root === config.state) {
    throw new Failure(
      'invalid argument',
      `configuration: root and state must be different paths, both are "${config.root}": invalid argument`,
    );
  }
}

function ignoreMissing(error: unknown): void {
  if (errnoCode(error) !== 'ENOENT') throw error;
}
