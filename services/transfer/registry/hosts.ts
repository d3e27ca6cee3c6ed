// Which hosts serve a registry's images, in which order and how: containerd's certs.d layout.
//
//   <folder>/<host_port_ | host:port | _default>/hosts.toml     mirrors, certificates, headers
//   <folder>/<...>/{*.crt, *.cert + *.key}                      Docker's pattern, without hosts.toml
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { parse, type TomlTable } from 'smol-toml';
import { parseDuration } from '../../lib/duration.ts';
import { errnoCode, Failure } from '../../lib/errors.ts';
import { isLoopback } from './addresses.ts';
import type { TlsOptions } from './http.ts';

export type Capability = 'pull' | 'resolve' | 'push' | 'referrers';

export interface RegistryHost {
  /** The API's root: `https://mirror.example.com/v2`. */
  readonly root: URL;
  readonly capabilities: ReadonlySet<Capability>;
  /** Sent with every request to this host, and to no other. */
  readonly headers: Readonly<Record<string, string>>;
  readonly tls: TlsOptions | undefined;
  /** Milliseconds. */
  readonly dialTimeout: number | undefined;
  /** For a mirror, which registry is meant: the query `ns`. */
  readonly namespace: string | undefined;
  /** Nobody said http or https, and plain http would be harmless: try https first. */
  readonly mayBePlain: boolean;
  /** The file that decided; '' when none did. */
  readonly source: string;
}

export interface HostsOptions {
  /** Folders in certs.d's layout; the first that knows the host decides. */
  readonly folders: readonly string[];
  /** Of the registry itself, where no file says otherwise. */
  readonly defaultScheme: 'http' | 'https' | undefined;
}

const DOCKER_API = 'registry-1.docker.io';
const ALL: readonly Capability[] = ['pull', 'resolve', 'push', 'referrers'];

/** In the order to be asked. Throws `invalid argument` that names file and key for what cannot be used. */
export async function registryHosts(host: string, options: HostsOptions): Promise<readonly RegistryHost[]> {
  for (const folder of options.folders) {
    for (const name of folderNames(host)) {
      const place = path.join(folder, name);
      const files = await readdir(place).catch(ignoreMissing);
      if (files === undefined) continue;
      if (files.includes('hosts.toml')) return await fromFile(path.join(place, 'hosts.toml'), host, options);
      const tls = await dockerCertificates(place, files);
      return [
        { ...defaultHost(host, options.defaultScheme), ...(tls ? { tls, mayBePlain: false } : {}), source: place },
      ];
    }
  }
  return [defaultHost(host, options.defaultScheme)];
}

function folderNames(host: string): string[] {
  const port = /^(.+):(\d+)$/.exec(host);
  return [...(port === null ? [] : [`${port[1]}_${port[2]}_`]), host, '_default'];
}

function defaultHost(host: string, scheme: 'http' | 'https' | undefined): RegistryHost {
  const api = host === 'docker.io' ? DOCKER_API : host;
  const { hostname } = new URL(`https://${api}`);
  return {
    root: new URL(`${scheme ?? 'https'}://${api}/v2`),
    capabilities: new Set(ALL),
    headers: {},
    tls: undefined,
    dialTimeout: undefined,
    namespace: undefined,
    mayBePlain: scheme === undefined && isLoopback(hostname),
    source: '',
  };
}

async function fromFile(file: string, host: string, options: HostsOptions): Promise<RegistryHost[]> {
  const table = parseToml(await readFile(file, 'utf8'), file);
  const mirrors = table['host'] ?? {};
  if (!isTable(mirrors)) throw wrong(file, 'host', 'must be tables, as [host."https://mirror.example.com"]');
  const hosts: RegistryHost[] = [];
  for (const [url, section] of Object.entries(mirrors)) {
    const key = `host."${url}"`;
    if (!isTable(section)) throw wrong(file, key, 'must be a table');
    hosts.push(await hostOf(url, section, { file, key, host }));
  }
  const fallback = defaultHost(host, options.defaultScheme);
  const server = table['server'];
  if (server !== undefined && typeof server !== 'string') throw wrong(file, 'server', 'must be a URL');
  const root = await hostOf(server || fallback.root.href, table, { file, key: 'server', host });
  hosts.push(
    server ? root : { ...root, namespace: undefined, mayBePlain: fallback.mayBePlain && root.tls === undefined },
  );
  return hosts;
}

interface Place {
  readonly file: string;
  readonly key: string;
  /** The registry that is asked for. */
  readonly host: string;
}

async function hostOf(text: string, section: TomlTable, { file, key, host }: Place): Promise<RegistryHost> {
  const name = (field: string): string => (key === 'server' ? field : `${key}.${field}`);
  const withScheme = /^[a-z]+:\/\//i.test(text) ? text : `https://${text}`;
  const root = URL.canParse(withScheme) ? new URL(withScheme) : undefined;
  if (root === undefined || !/^https?:$/.test(root.protocol)) throw wrong(file, key, `"${text}" is not an http(s) URL`);
  if (section['override_path'] !== true && !/\/v2\/?$/.test(root.pathname)) {
    root.pathname = `${root.pathname.replace(/\/$/, '')}/v2`;
  }
  root.pathname = root.pathname.replace(/\/$/, '');
  const dial = section['dial_timeout'];
  if (dial !== undefined && typeof dial !== 'string') throw wrong(file, name('dial_timeout'), 'must be as "5s"');
  return {
    root,
    capabilities: capabilitiesOf(section['capabilities'], file, name('capabilities')),
    headers: headersOf(section['header'], file, name('header')),
    tls: await tlsOf(section, file, name),
    dialTimeout: dial === undefined ? undefined : durationOf(dial, file, name('dial_timeout')),
    namespace: root.host === host || (host === 'docker.io' && root.host === DOCKER_API) ? undefined : host,
    mayBePlain: false,
    source: file,
  };
}

function capabilitiesOf(value: unknown, file: string, key: string): Set<Capability> {
  if (value === undefined) return new Set(ALL);
  const known = (each: unknown): each is Capability => ALL.includes(each as Capability);
  if (!Array.isArray(value) || !value.every(known)) throw wrong(file, key, `must be a list of ${ALL.join(', ')}`);
  return new Set(value);
}

function headersOf(value: unknown, file: string, key: string): Record<string, string> {
  if (value === undefined) return {};
  if (!isTable(value)) throw wrong(file, key, 'must be a table');
  const headers: Record<string, string> = {};
  for (const [name, content] of Object.entries(value)) {
    const all = Array.isArray(content) ? content : [content];
    const legal = (each: unknown): each is string => typeof each === 'string' && !/[\r\n]/.test(each);
    if (!/^[A-Za-z0-9-]+$/.test(name) || !all.every(legal))
      throw wrong(file, `${key}.${name}`, 'must be text or a list of texts');
    headers[name.toLowerCase()] = all.join(', ');
  }
  return headers;
}

async function tlsOf(
  section: TomlTable,
  file: string,
  name: (field: string) => string,
): Promise<TlsOptions | undefined> {
  const { ca, client, skip_verify: skip = false } = section;
  if (typeof skip !== 'boolean') throw wrong(file, name('skip_verify'), 'must be true or false');
  if (ca === undefined && client === undefined && !skip) return undefined;
  const read = async (value: unknown, key: string): Promise<string> => {
    if (typeof value !== 'string') throw wrong(file, key, 'must be a path or a list of paths');
    const certificate = path.resolve(path.dirname(file), value);
    try {
      return await readFile(certificate, 'utf8');
    } catch (error) {
      throw wrong(file, key, `cannot read "${certificate}": ${error instanceof Error ? error.message : ''}`);
    }
  };
  const list = (value: unknown): readonly unknown[] =>
    value === undefined ? [] : Array.isArray(value) ? (value as readonly unknown[]) : [value];
  const pairs: { cert: string; key: string }[] = [];
  for (const pair of list(client)) {
    const [cert, key] = list(pair);
    const pem = await read(cert, name('client'));
    pairs.push({ cert: pem, key: key === undefined || key === '' ? pem : await read(key, name('client')) });
  }
  const authorities = await Promise.all(list(ca).map((each) => read(each, name('ca'))));
  return { ca: authorities, client: pairs, skipVerify: skip };
}

async function dockerCertificates(place: string, files: readonly string[]): Promise<TlsOptions | undefined> {
  const read = (name: string): Promise<string> => readFile(path.join(place, name), 'utf8');
  const ca = await Promise.all(files.filter((name) => name.endsWith('.crt')).map(read));
  const client: { cert: string; key: string }[] = [];
  for (const name of files.filter((each) => each.endsWith('.cert'))) {
    const key = name.replace(/\.cert$/, '.key');
    if (!files.includes(key)) throw wrong(path.join(place, name), 'key', `"${key}" is missing beside it`);
    client.push({ cert: await read(name), key: await read(key) });
  }
  return ca.length + client.length === 0 ? undefined : { ca, client, skipVerify: false };
}

function durationOf(text: string, file: string, key: string): number {
  try {
    return parseDuration(text);
  } catch {
    throw wrong(file, key, `"${text}" is not a duration as "5s"`);
  }
}

function parseToml(text: string, file: string): TomlTable {
  try {
    return parse(text);
  } catch (error) {
    const reason = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new Failure('invalid argument', `${file}: ${reason}: invalid argument`, { cause: error });
  }
}

function isTable(value: unknown): value is TomlTable {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

function wrong(file: string, key: string, why: string): Failure {
  return new Failure('invalid argument', `${file}: ${key}: ${why}: invalid argument`);
}

function ignoreMissing(error: unknown): undefined {
  const code = errnoCode(error);
  if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
  return undefined;
}
