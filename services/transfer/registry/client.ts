// A registry's repository: OCI distribution and Docker's registry API v2. Hosts are asked in their
// order until one can help; what each of them said is in the error.
import { digestOf, parseDigest } from '../../lib/digest.ts';
import { Failure, kindOf, notFound, type Kind } from '../../lib/errors.ts';
import type { Reference } from '../../lib/references.ts';
import { isIndex, isManifest, MAX_DOCUMENT, MEDIA, mediaTypeIn, refuseSchema1, type Descriptor } from '../documents.ts';
import { isLoopback } from './addresses.ts';
import { createAuthorizer, type Credentials } from './auth.ts';
import { Refusal, refusalOf, transportFailure } from './errors.ts';
import { registryHosts, type Capability, type HostsOptions, type RegistryHost } from './hosts.ts';
import { createHttp, type Answer, type Exchange, type Http } from './http.ts';
import { readLimited } from './limited.ts';
import { within } from './patience.ts';
import { createPusher, type Pusher, type SendPush } from './push.ts';
import { isWithoutApi, referrersByApi, referrersByTag } from './referrers.ts';
import { createRetries } from './retry.ts';

export interface RepositoryOptions extends HostsOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** Sent to the registry and its mirrors. */
  readonly headers: Readonly<Record<string, string>>;
  credentials(host: string, challenges: readonly string[]): Promise<Credentials | undefined>;
  /** Milliseconds that a host may be silent, and that it may take for a document; a minute and two where left out. */
  readonly patience?: { readonly silence: number; readonly document: number };
}

/** Bytes of a blob, from `offset` on. */
export interface BlobBody {
  readonly offset: number;
  readonly body: AsyncIterable<Buffer>;
  discard(): void;
}

export interface Repository extends Pusher {
  /** What the reference stands for. Throws `not found`, and what hosts answered otherwise. */
  resolve(signal: AbortSignal): Promise<Descriptor>;
  /** The blob's bytes from `offset` on, or from an earlier place where the registry cannot do that. */
  blob(descriptor: Descriptor, offset: number, signal: AbortSignal): Promise<BlobBody>;
  /** What refers to the digest, by the API of referrers or, where there is none, by the tag that stands for it. */
  referrers(digest: string, signal: AbortSignal): Promise<readonly Descriptor[]>;
  close(): void;
}

interface Ask {
  readonly method: Exchange['method'];
  readonly path: string | URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Exchange['body'];
  readonly accept: readonly number[];
  readonly scopes: readonly string[];
}

const MANIFESTS = [MEDIA.ociIndex, MEDIA.ociManifest, MEDIA.dockerList, MEDIA.dockerManifest, '*/*'].join(', ');
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const MAX_REDIRECTS = 5;
/** Of one document, so that one that drips in byte by byte ends. */
const DOCUMENT_MS = 120_000;

export function createRepository(reference: Reference, options: RepositoryOptions): Repository {
  const { host: registry, repository } = reference;
  const http: Http = createHttp(options.environment, options.patience?.silence);
  const auth = createAuthorizer({ http, credentials: (host, challenges) => options.credentials(host, challenges) });
  const plain = new Set<RegistryHost>();
  let hosts: Promise<readonly RegistryHost[]> | undefined;
  const pullScopes = [`repository:${repository}:pull`];

  /** One answer of one host: authorized, redirects followed. */
  async function ask(host: RegistryHost, request: Ask, signal: AbortSignal): Promise<Answer> {
    const url = request.path instanceof URL ? request.path : urlOf(host, request.path);
    const isPlain = plain.has(host) || url.protocol === 'http:';
    if (plain.has(host)) url.protocol = 'http:';
    const target = { host: url.host, plain: isPlain, tls: host.tls, scopes: request.scopes };
    const home = url.host === host.root.host;
    for (let refusals = 0; ; refusals++) {
      const authorization = home ? await auth.authorization(target, signal) : undefined;
      const headers: Record<string, string> = {
        'user-agent': 'davit',
        ...(home ? { ...options.headers, ...host.headers } : {}),
        ...request.headers,
        ...(authorization === undefined ? {} : { authorization }),
      };
      let answer: Answer;
      try {
        const { method, body } = request;
        const tls = home ? host.tls : undefined;
        answer = await follow(host, { method, url, headers, body, tls }, signal);
      } catch (error) {
        if (host.mayBePlain && url.protocol === 'https:' && speaksPlain(error)) {
          plain.add(host);
          return await ask(host, request, signal);
        }
        throw signal.aborted ? error : transportFailure(request.method, url, error, host.source);
      }
      if (answer.status === 401 && home && refusals < 2 && !isStream(request.body)) {
        if (await auth.refused(target, answer, authorization, signal)) {
          answer.discard();
          continue;
        }
      }
      if (request.accept.includes(answer.status)) return answer;
      throw await refusalOf(request.method, url, answer, host.source);
    }
  }

  /** Where others are sent to they get nothing that was meant for the registry. */
  async function follow(host: RegistryHost, first: Exchange, signal: AbortSignal): Promise<Answer> {
    const { dialTimeout } = host;
    const readOnly = first.method === 'GET' || first.method === 'HEAD';
    let exchange: Exchange = { ...first, dialTimeout };
    for (let hops = 0; ; hops++) {
      const answer = await http.exchange(exchange, signal);
      const location = answer.header('location');
      if (!REDIRECTS.has(answer.status) || location === undefined || !readOnly) return answer;
      answer.discard();
      if (hops === MAX_REDIRECTS)
        throw new Failure('failed precondition', `more than ${MAX_REDIRECTS} redirects: failed precondition`);
      const next = redirected(exchange.url, location);
      const same = next.host === first.url.host && next.protocol === first.url.protocol;
      const { authorization: _own, ...others } = first.headers;
      exchange = same
        ? { ...exchange, url: next }
        : {
            method: first.method,
            url: next,
            headers: pick(others, ['accept', 'range', 'user-agent']),
            dialTimeout,
            strange: !isLoopback(first.url.hostname),
          };
    }
  }

  function urlOf(host: RegistryHost, path: string): URL {
    const url = new URL(host.root.href);
    const [pathname = '', query = ''] = path.split('?');
    url.pathname = `${url.pathname}/${repository}${pathname}`;
    url.search = query;
    if (host.namespace !== undefined) url.searchParams.set('ns', host.namespace);
    return url;
  }

  function placeOf(host: RegistryHost, path: string | URL): URL {
    const url = path instanceof URL ? path : urlOf(host, path);
    if (plain.has(host)) url.protocol = 'http:';
    return url;
  }

  async function hostsFor(capability: Capability): Promise<readonly RegistryHost[]> {
    hosts ??= registryHosts(registry, options);
    const able = (await hosts).filter(({ capabilities }) => capabilities.has(capability));
    if (able.length > 0) return able;
    const [first] = await hosts;
    throw new Failure(
      'failed precondition',
      `${first?.source || registry}: no host has the capability "${capability}": failed precondition`,
    );
  }

  /** The first answer; all failures together when there is none. */
  async function askAny<T>(
    capability: Capability,
    signal: AbortSignal,
    one: (host: RegistryHost, last: boolean) => Promise<T>,
  ): Promise<T> {
    const able = await hostsFor(capability);
    const failures: Failure[] = [];
    for (const [at, host] of able.entries()) {
      try {
        return await one(host, at === able.length - 1);
      } catch (error) {
        if (signal.aborted || !(error instanceof Failure)) throw error;
        failures.push(error);
      }
    }
    throw together(failures);
  }

  const get = (
    host: RegistryHost,
    path: string | URL,
    headers: Record<string, string>,
    signal: AbortSignal,
    retry = true,
  ) =>
    createRetries(retry ? undefined : 0).run(signal, () =>
      ask(host, { method: 'GET', path, headers, accept: [200, 206], scopes: pullScopes }, signal),
    );

  async function resolveAt(host: RegistryHost, last: boolean, signal: AbortSignal): Promise<Descriptor> {
    const path = `/manifests/${reference.digest ?? reference.tag}`;
    const headers = { accept: MANIFESTS };
    let answer: Answer;
    try {
      answer = await createRetries(last ? undefined : 0).run(signal, () =>
        ask(host, { method: 'HEAD', path, headers, accept: [200], scopes: pullScopes }, signal),
      );
    } catch (error) {
      // A HEAD has no words: ask for them. Some proxies know only GET.
      if (!(error instanceof Refusal) || error.status === 401 || error.status >= 429) throw error;
      answer = await get(host, path, headers, signal, last);
    }
    return await describe(host, answer, path, signal);
  }

  async function describe(host: RegistryHost, head: Answer, path: string, signal: AbortSignal): Promise<Descriptor> {
    const mediaType = (head.header('content-type') ?? '').split(';')[0]?.trim() ?? '';
    const digest = reference.digest ?? head.header('docker-content-digest') ?? '';
    const size = Number(head.header('content-length') ?? 'NaN');
    refuseSchema1(mediaType);
    const usable = (isManifest(mediaType) || isIndex(mediaType)) && typeof parseDigest(digest) !== 'string' && size > 0;
    head.discard();
    if (usable && Number.isSafeInteger(size)) return { mediaType, digest, size };
    const answer = await get(host, path, { accept: MANIFESTS }, signal);
    const bytes = await readLimited(answer.body, MAX_DOCUMENT, `manifest ${reference.digest ?? reference.tag}`);
    const own = mediaTypeIn(bytes, reference.digest ?? reference.tag ?? '');
    refuseSchema1(own ?? mediaType);
    return { mediaType: own ?? mediaType, digest: reference.digest ?? digestOf(bytes), size: bytes.length };
  }

  async function blobAt(host: RegistryHost, descriptor: Descriptor, offset: number, signal: AbortSignal) {
    const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
    const document = isManifest(descriptor.mediaType) || isIndex(descriptor.mediaType);
    if (document) headers['accept'] = `${descriptor.mediaType}, */*`;
    const path = `/${document ? 'manifests' : 'blobs'}/${descriptor.digest}`;
    return bodyFrom(
      await ask(host, { method: 'GET', path, headers, accept: [200, 206], scopes: pullScopes }, signal),
      offset,
    );
  }

  /** Places that the manifest names: anybody's, so they learn nothing of us. */
  async function elsewhere({ urls = [] }: Descriptor, offset: number, signal: AbortSignal): Promise<BlobBody> {
    const failures: Failure[] = [];
    for (const text of urls.slice(0, 4)) {
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (url?.protocol !== 'https:' && url?.protocol !== 'http:') continue;
      const headers: Record<string, string> = offset > 0 ? { range: `bytes=${offset}-` } : {};
      const from: RegistryHost = { ...((await hosts) as readonly RegistryHost[])[0], tls: undefined } as RegistryHost;
      try {
        const strange = !isLoopback(from.root.hostname);
        const answer = await follow(from, { method: 'GET', url, headers, strange }, signal);
        if (answer.status === 200 || answer.status === 206) return bodyFrom(answer, offset);
        throw await refusalOf('GET', url, answer, 'the urls of its descriptor');
      } catch (error) {
        if (signal.aborted) throw error;
        failures.push(error instanceof Failure ? error : transportFailure('GET', url, error, ''));
      }
    }
    throw together(failures);
  }

  const send: SendPush = async ({ from, headers = {}, ...request }, signal) => {
    const [host] = await hostsFor('push');
    if (host === undefined) throw notFound(`host to push to for ${registry}`);
    const scopes = [`repository:${repository}:pull,push`];
    if (from !== undefined) scopes.push(`repository:${from}:pull`);
    const answer = await ask(host, { ...request, headers, scopes: scopes.sort() }, signal);
    return { answer, url: placeOf(host, request.path) };
  };

  return {
    ...createPusher(send),
    async resolve(signal) {
      const patience = options.patience?.document ?? DOCUMENT_MS;
      return await askAny('resolve', signal, (host, last) =>
        within(patience, `${host.root.host}: manifest ${reference.digest ?? reference.tag}`, signal, (bounded) =>
          resolveAt(host, last, bounded),
        ),
      );
    },

    async blob(descriptor, offset, signal) {
      try {
        return await askAny('pull', signal, (host) => blobAt(host, descriptor, offset, signal));
      } catch (error) {
        if (signal.aborted || kindOf(error) !== 'not found' || !descriptor.urls?.length) throw error;
        return await elsewhere(descriptor, offset, signal);
      }
    },

    async referrers(digest, signal) {
      const from = (host: RegistryHost) => async (path: string | URL) => ({
        answer: await get(host, path, { accept: MEDIA.ociIndex }, signal),
        url: placeOf(host, path),
      });
      return await askAny('referrers', signal, async (host) => {
        try {
          return await referrersByApi(digest, from(host));
        } catch (error) {
          if (!isWithoutApi(error)) throw error;
          return await referrersByTag(digest, from(host));
        }
      });
    },

    close: () => http.close(),
  };
}

function bodyFrom(answer: Answer, asked: number): BlobBody {
  const { body } = answer;
  const discard = (): void => answer.discard();
  if (answer.status !== 206) return { offset: 0, body, discard };
  const start = Number(/^bytes (\d+)-/.exec(answer.header('content-range') ?? '')?.[1] ?? 'NaN');
  if (start <= asked) return { offset: start, body, discard };
  discard();
  throw new Failure('unavailable', `asked for bytes from ${asked} on, got those from ${start} on: unavailable`);
}

function redirected(from: URL, location: string): URL {
  if (!URL.canParse(location, from.href)) throw new Failure('unavailable', `redirected to "${location}": unavailable`);
  const next = new URL(location, from);
  if (from.protocol === 'https:' && next.protocol !== 'https:') {
    throw new Failure('permission denied', `redirected from https to ${next.href}: permission denied`);
  }
  return next;
}

function pick(headers: Readonly<Record<string, string>>, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => names.includes(name)));
}

function isStream(body: Exchange['body']): boolean {
  return body !== undefined && !(body instanceof Uint8Array);
}

/** OpenSSL's words for an answer that is not TLS. */
function speaksPlain(error: unknown): boolean {
  const cause = error instanceof Failure ? error.cause : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  return code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG' || code === 'EPROTO';
}

const ORDER: readonly Kind[] = ['not found', 'unavailable'];

/** The last failure is the registry's own; a mirror that has not got an image is no news. */
function together(failures: readonly Failure[]): Failure {
  const [last, ...others] = failures.toReversed();
  if (last === undefined) return notFound('no place to ask');
  if (others.length === 0) return last;
  const telling = others.filter(({ kind }) => !ORDER.includes(kind)).concat(others)[0];
  return last.in(`${telling?.message ?? ''}; then`);
}
