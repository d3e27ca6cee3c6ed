// Proxies, as the environment names them: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, NO_PROXY, in either case.
import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest, type AgentOptions } from 'node:https';
import { isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { invalidArgument, unavailable } from '../../lib/errors.ts';
import { isLoopback } from './addresses.ts';

const CONNECT_MS = 30_000;

/** The proxy for `url`; undefined to go there directly, as always to loopback. Throws for one that is no URL. */
export function proxyFor(url: URL, environment: NodeJS.ProcessEnv): URL | undefined {
  const read = (name: string): string | undefined => environment[name] || environment[name.toUpperCase()] || undefined;
  const proxy = read(url.protocol === 'https:' ? 'https_proxy' : 'http_proxy') ?? read('all_proxy');
  if (proxy === undefined || isLoopback(url.hostname) || exempt(url, read('no_proxy') ?? '')) return undefined;
  const text = /^[a-z][a-z0-9+.-]*:\/\//i.test(proxy) ? proxy : `http://${proxy}`;
  const parsed = URL.canParse(text) ? new URL(text) : undefined;
  if (parsed === undefined || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) {
    throw invalidArgument(
      `proxy "${proxy.replace(/\/\/.*@/, '//')}" of the daemon's environment is not an http(s) URL`,
    );
  }
  return parsed;
}

/** `no_proxy`: hosts, `.domains`, `host:port`, networks in IPv4 as `10.0.0.0/8`, or `*`. */
function exempt({ hostname, port, protocol }: URL, list: string): boolean {
  const actual = port === '' ? (protocol === 'https:' ? '443' : '80') : port;
  return list.split(',').some((item) => {
    const entry = item.trim().toLowerCase();
    if (entry === '') return false;
    if (entry === '*') return true;
    if (entry.includes('/')) return inNetwork(hostname, entry);
    const [, name = entry, only] = /^(.*?)(?::(\d+))?$/.exec(entry) ?? [];
    if (only !== undefined && only !== actual) return false;
    const domain = name.replace(/^\*?\./, '');
    return hostname === domain || hostname.endsWith(`.${domain}`);
  });
}

function inNetwork(hostname: string, network: string): boolean {
  const [base = '', bits = ''] = network.split('/');
  if (isIP(hostname) !== 4 || isIP(base) !== 4 || !/^\d+$/.test(bits)) return false;
  const size = 2 ** (32 - Math.min(Number(bits), 32));
  return Math.floor(numberOf(hostname) / size) === Math.floor(numberOf(base) / size);
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

/** The header that a proxy with a user in its URL asks for. */
export function proxyHeaders({ username, password }: URL): Record<string, string> {
  if (username === '') return {};
  const plain = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(plain).toString('base64')}` };
}

/** Connections of https through a proxy's CONNECT. */
export class TunnelAgent extends Agent {
  readonly #proxy: URL;

  constructor(proxy: URL, options: AgentOptions) {
    super(options);
    this.#proxy = proxy;
  }

  override createConnection(
    options: ConnectionOptions,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    const failed = callback as (error: Error) => void;
    this.#tunnel(`${options.host ?? ''}:${options.port ?? 443}`).then(
      (socket) => callback?.(null, connectTls({ ...options, socket })),
      failed,
    );
    return undefined;
  }

  #tunnel(target: string): Promise<Socket> {
    const proxy = this.#proxy;
    const request = (proxy.protocol === 'https:' ? httpsRequest : httpRequest)({
      host: proxy.hostname,
      port: proxy.port,
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...proxyHeaders(proxy) },
      timeout: CONNECT_MS,
    });
    return new Promise((resolve, reject) => {
      const refused = (why: string): void => {
        request.destroy();
        reject(unavailable(`proxy ${proxy.host}: CONNECT ${target}: ${why}`));
      };
      request.once('connect', ({ statusCode }, socket) => {
        if (statusCode === 200) return resolve(socket);
        socket.destroy();
        refused(`status ${statusCode}`);
      });
      request.once('response', ({ statusCode }) => refused(`status ${statusCode}`));
      request.once('timeout', () => refused(`no answer within ${CONNECT_MS / 1000} s`));
      request.once('error', (error) => refused(error.message));
      request.end();
    });
  }
}
