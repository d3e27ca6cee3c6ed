// HTTP as registries are asked: one exchange at a time, bodies as streams, bounded waits everywhere.
// Nothing here follows a redirect, retries, or knows what a registry is.
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import { Failure, invalidArgument, unavailable } from '../../lib/errors.ts';
import { lookupElsewhere, refuseLocal } from './addresses.ts';
import { systemCertificates } from './certificates.ts';
import { proxyFor, proxyHeaders, TunnelAgent } from './proxy.ts';

export interface TlsOptions {
  /** PEM, besides the machine's own authorities. */
  readonly ca: readonly string[];
  /** PEM pairs; the key may be in the certificate's file. */
  readonly client: readonly { readonly cert: string; readonly key: string }[];
  readonly skipVerify: boolean;
}

export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | AsyncIterable<Uint8Array> | undefined;
  /** Milliseconds to connect in. */
  readonly dialTimeout?: number | undefined;
  readonly tls?: TlsOptions | undefined;
  /** The address comes from a stranger: it must not be one of this machine. */
  readonly strange?: boolean;
}

export interface Answer {
  readonly status: number;
  /** Names in lower case. */
  header(name: string): string | undefined;
  /** All values of a header. */
  headers(name: string): readonly string[];
  /** To be read to its end, or discarded. */
  readonly body: AsyncIterable<Buffer>;
  /** The body is not wanted. */
  discard(): void;
}

export interface Http {
  /** Throws `unavailable` when there is no answer; the signal's reason when that aborts. */
  exchange(exchange: Exchange, signal: AbortSignal): Promise<Answer>;
  /** Ends all connections. */
  close(): void;
}

const DIAL_MS = 30_000;
/** Without a byte in either direction. */
const SILENCE_MS = 60_000;
const MAX_SOCKETS = 8;
/** Of a discarded body; more ends the connection. */
const MAX_DISCARD = 64 * 1024;

export function createHttp(environment: NodeJS.ProcessEnv, silence = SILENCE_MS): Http {
  const agents = new Map<string, HttpAgent>();
  const secure = new Map<TlsOptions | undefined, SecureContext>();

  function contextOf(tls: TlsOptions | undefined): SecureContext {
    let made = secure.get(tls);
    if (made === undefined) {
      made = createSecureContext({
        ca: [...systemCertificates(), ...(tls?.ca ?? [])],
        cert: tls?.client.map(({ cert }) => cert) ?? [],
        key: tls?.client.map(({ key }) => key) ?? [],
      });
      secure.set(tls, made);
    }
    return made;
  }

  function agentOf(url: URL, proxy: URL | undefined, strange: boolean): HttpAgent {
    const name = `${url.protocol} ${proxy?.href ?? ''} ${strange}`;
    let agent = agents.get(name);
    if (agent === undefined) {
      const options = { keepAlive: true, maxSockets: MAX_SOCKETS };
      if (url.protocol === 'http:') agent = new HttpAgent(options);
      else agent = proxy === undefined ? new HttpsAgent(options) : new TunnelAgent(proxy, options);
      agents.set(name, agent);
    }
    return agent;
  }

  function optionsOf({ method, url, headers, tls, strange = false }: Exchange): RequestOptions {
    const proxy = proxyFor(url, environment);
    if (strange && proxy === undefined) refuseLocal(url);
    const common = {
      method,
      agent: agentOf(url, proxy, strange),
      ...(strange && proxy === undefined ? { lookup: lookupElsewhere } : {}),
    };
    if (url.protocol === 'http:' && proxy !== undefined) {
      const through = { host: proxy.hostname, port: proxy.port === '' ? 80 : proxy.port, path: url.href };
      return { ...common, ...through, headers: { host: url.host, ...headers, ...proxyHeaders(proxy) } };
    }
    const target = { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, path: `${url.pathname}${url.search}` };
    const there = { ...common, ...target, headers: { host: url.host, ...headers } };
    if (url.protocol === 'http:') return there;
    const secured = { secureContext: contextOf(tls), rejectUnauthorized: tls?.skipVerify !== true };
    return { ...there, ...secured };
  }

  return {
    exchange(exchange, signal) {
      const { url, body, dialTimeout = DIAL_MS } = exchange;
      if (url.protocol !== 'http:' && url.protocol !== 'https:') throw invalidArgument(`URL ${url.href}`);
      return new Promise((resolve, reject) => {
        signal.throwIfAborted();
        const options = optionsOf(exchange);
        const request = url.protocol === 'https:' ? httpsRequest(options) : httpRequest(options);
        const abort = (): void => void request.destroy(reasonOf(signal));
        const dial = setTimeout(() => request.destroy(late('connection', dialTimeout)), dialTimeout);
        const done = (): void => {
          clearTimeout(dial);
          signal.removeEventListener('abort', abort);
        };
        signal.addEventListener('abort', abort, { once: true });
        request.setTimeout(silence, () => request.destroy(late('answer', silence)));
        request.once('socket', (socket) => {
          // One that is kept alive sees many requests, and no further connect.
          if (!socket.connecting) clearTimeout(dial);
          else socket.once(url.protocol === 'https:' ? 'secureConnect' : 'connect', () => clearTimeout(dial));
        });
        request.once('error', (error) => {
          done();
          reject(signal.aborted ? reasonOf(signal) : noAnswer(error, url, environment));
        });
        request.once('close', done);
        request.once('response', (response) => resolve(answerOf(response, signal)));
        send(request, body).catch((error: unknown) => {
          request.destroy(error instanceof Error ? error : new Error(String(error)));
          reject(error);
        });
      });
    },
    close() {
      for (const agent of agents.values()) agent.destroy();
    },
  };
}

async function send(request: ReturnType<typeof httpRequest>, body: Exchange['body']): Promise<void> {
  if (body === undefined || body instanceof Uint8Array) return void request.end(body);
  for await (const chunk of body) {
    if (request.destroyed || request.closed) return;
    if (!request.write(chunk)) await drained(request);
  }
  request.end();
}

function drained(request: ReturnType<typeof httpRequest>): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      for (const event of ['drain', 'close', 'error']) request.off(event, done);
      resolve();
    };
    for (const event of ['drain', 'close', 'error']) request.on(event, done);
  });
}

function answerOf(response: IncomingMessage, signal: AbortSignal): Answer {
  return {
    status: response.statusCode ?? 0,
    header: (name) => response.headersDistinct[name]?.[0],
    headers: (name) => response.headersDistinct[name] ?? [],
    body: bodyOf(response, signal),
    discard() {
      let size = 0;
      response.on('error', () => undefined);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_DISCARD) response.destroy();
      });
    },
  };
}

async function* bodyOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
  try {
    yield* response as AsyncIterable<Buffer>;
  } catch (error) {
    throw signal.aborted ? reasonOf(signal) : cutOff(error);
  }
  // A connection that ends early is not always an error to Node.
  if (!response.complete) throw unavailable('the connection was cut');
}

function reasonOf(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Failure('canceled', 'context canceled');
}

function late(what: string, milliseconds: number): Failure {
  return unavailable(`no ${what} within ${milliseconds / 1000} s`);
}

/** As cutOff(); a proxy that does not answer is named. */
function noAnswer(error: unknown, url: URL, environment: NodeJS.ProcessEnv): Failure {
  const failure = cutOff(error);
  const proxy = proxyFor(url, environment);
  const refused = error instanceof Error && 'syscall' in error;
  if (proxy === undefined || !refused) return failure;
  const words = failure.message.replace(/: unavailable$/, '');
  return unavailable(`${proxy.host}, the proxy of the daemon's environment: ${words}`, { cause: failure });
}

/** `cause` keeps Node's code: who talks to a registry knows what to say about some. */
function cutOff(error: unknown): Failure {
  if (error instanceof Failure) return error;
  const message = error instanceof Error ? error.message || ('code' in error ? String(error.code) : '') : String(error);
  return unavailable(message === 'aborted' ? 'the connection was cut' : message, { cause: error });
}
