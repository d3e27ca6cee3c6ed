// Proxy plugins: other programs that this daemon uses as parts of itself, and this daemon as a part of another.
import { SnapshotsName, type SnapshotsService } from '../../../proto/gen/containerd.services.snapshots.v1.ts';
import { connectTo, type Connection } from '../../grpc/client.ts';
import type { Registration } from '../../grpc/handlers.ts';
import type { Leases, Scope } from '../../leases/api.ts';
import { invalidArgument, isAlreadyExists, notImplemented } from '../../lib/errors.ts';
import { NO_LABELS } from '../../lib/labels.ts';
import type { Logger } from '../../lib/log.ts';
import type { Driver, Snapshots } from '../../snapshots/api.ts';
import { createForeignDriver } from '../../snapshots/drivers/foreign.ts';
import { createSnapshotsService } from '../../snapshots/service.ts';
import type { Config } from '../defaults.ts';

/** One `[proxy_plugins.<name>]`. */
interface ProxyPlugin {
  readonly name: string;
  readonly type: string;
  readonly address: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  /** davit's own: what the snapshotter is called at the other end. */
  readonly snapshotter: string;
}

/** What introspection says of one. */
export interface DescribedProxy {
  readonly type: 'snapshotter' | 'content' | 'differ' | 'sandbox';
  readonly name: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly capabilities: readonly string[];
  readonly initError?: Error;
}

export interface Proxies {
  readonly drivers: readonly Driver[];
  readonly described: readonly DescribedProxy[];
  close(): void;
}

const TYPES: Readonly<Record<string, DescribedProxy['type']>> = {
  snapshot: 'snapshotter',
  'io.containerd.snapshotter.v1': 'snapshotter',
  content: 'content',
  'io.containerd.content.v1': 'content',
  diff: 'differ',
  'io.containerd.differ.v1': 'differ',
  sandbox: 'sandbox',
  'io.containerd.sandbox.controller.v1': 'sandbox',
};

/**
 * Connects when they are called first. Throws `invalid argument` for a section that says nothing, or a name
 * that is in `taken`.
 */
export function createProxies(config: Config, taken: readonly string[], timeout: number, log: Logger): Proxies {
  const connections: Connection[] = [];
  const drivers: Driver[] = [];
  const described: DescribedProxy[] = [];
  for (const plugin of Object.entries(config.proxy_plugins).map(([name, table]) => checked(name, table))) {
    const { name, address, capabilities } = plugin;
    const type = TYPES[plugin.type];
    if (type === undefined) {
      // As containerd does.
      log.warn('unknown proxy plugin type', { plugin: name, type: plugin.type });
      continue;
    }
    const about = { type, name, exports: { ...plugin.exports, address }, capabilities };
    if (type !== 'snapshotter') {
      const initError = notImplemented(`proxy plugins of type "${plugin.type}" are not used by davit`);
      log.warn('proxy plugin not loaded', { plugin: name, address, error: initError });
      described.push({ ...about, initError });
      continue;
    }
    if (taken.includes(name)) {
      throw invalidArgument(
        `configuration: [proxy_plugins.${name}]: snapshotter ${name} is built in; choose another name`,
      );
    }
    const what = `proxy plugin "${name}" at ${address}`;
    const remedy = `start it, or take [proxy_plugins.${name}] out of the configuration`;
    const connection = connectTo({ address, what, remedy, timeout });
    connections.push(connection);
    const calls = connection.service<SnapshotsService>(SnapshotsName);
    drivers.push(createForeignDriver({ name, remoteName: plugin.snapshotter, capabilities, calls }));
    described.push(about);
  }
  return {
    drivers,
    described,
    close() {
      for (const connection of connections) connection.close();
    },
  };
}

function checked(name: string, table: Readonly<Record<string, unknown>>): ProxyPlugin {
  const { type, address, exports = {}, capabilities = [], snapshotter = name, platform = '' } = table;
  const wrong = (what: string): Error => invalidArgument(`configuration: [proxy_plugins.${name}]: ${what}`);
  if (typeof type !== 'string' || type === '') throw wrong('type must be a text, such as "snapshot"');
  if (typeof address !== 'string' || address === '') throw wrong('address must be the path of a socket');
  if (typeof snapshotter !== 'string') throw wrong('snapshotter must be a text');
  if (typeof platform !== 'string') throw wrong('platform must be a text');
  if (!Array.isArray(capabilities) || !capabilities.every((each) => typeof each === 'string')) {
    throw wrong('capabilities must be a list of texts');
  }
  if (typeof exports !== 'object' || exports === null) throw wrong('exports must be a table');
  const texts = Object.entries(exports).filter((each): each is [string, string] => typeof each[1] === 'string');
  return { name, type, address, snapshotter, capabilities, exports: Object.fromEntries(texts) };
}

/** The namespace, and the lease there, of what other daemons keep here. */
const PROXIED = { namespace: 'davit-proxied', lease: 'proxied' } satisfies Scope;

/**
 * The snapshots service for a containerd whose proxy plugin this daemon is. It has records, leases and
 * garbage collection of its own in front, sends its clients' namespaces and leases with some calls and none with others,
 * and calls the snapshotter by the name that its configuration gives it: none of that means anything here. What
 * it makes is kept until it removes it.
 */
export async function createProxied(snapshots: Snapshots, leases: Leases, snapshotter: string): Promise<Registration> {
  await leases.create(PROXIED.namespace, PROXIED.lease, NO_LABELS).catch((error: unknown) => {
    if (!isAlreadyExists(error)) throw error;
  });
  const own = snapshots.get(snapshotter);
  return createSnapshotsService(
    { get: (name) => (snapshots.names.includes(name) ? snapshots.get(name) : own) },
    () => PROXIED,
  );
}
