// Authorization: what a registry host is shown so that it answers. Tokens are kept by host and scope;
// nothing that was meant for one host is ever shown to another.
import { Failure } from '../../lib/errors.ts';
import { isLoopback } from './addresses.ts';
import { parseChallenges, type Challenge } from './challenge.ts';
import type { Answer, Http, TlsOptions } from './http.ts';
import { readLimited } from './limited.ts';
import { within } from './patience.ts';
import { createShared, type Shared } from './shared.ts';

export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly secret: string }
  /** An identity token, to be exchanged for tokens. */
  | { readonly kind: 'refresh'; readonly token: string }
  /** The whole header, as it is. */
  | { readonly kind: 'header'; readonly value: string };

export interface AuthDeps {
  readonly http: Http;
  /** Asked once per host, when it wants to know who we are. */
  credentials(host: string, challenges: readonly string[]): Promise<Credentials | undefined>;
}

/** Where a request goes to. */
export interface AuthTarget {
  /** The registry's host: `example.com:5000`. */
  readonly host: string;
  readonly plain: boolean;
  readonly tls: TlsOptions | undefined;
  /** `repository:app:pull`, sorted. */
  readonly scopes: readonly string[];
}

export interface Authorizer {
  /** The header to send; undefined when the host has not asked for any. */
  authorization(target: AuthTarget, signal: AbortSignal): Promise<string | undefined>;
  /**
   * Learns from a 401. Returns whether another attempt may succeed.
   * Throws `unauthenticated`, `permission denied` or `unavailable` when no token is to be had.
   */
  refused(target: AuthTarget, answer: Answer, sent: string | undefined, signal: AbortSignal): Promise<boolean>;
}

interface Token {
  readonly value: string;
  readonly expires: number;
}

interface HostState {
  challenge: Challenge;
  credentials: Credentials | undefined;
  /** By scopes. */
  readonly tokens: Map<string, Token>;
  /** By scopes, so that requests side by side ask once. */
  readonly fetching: Shared<Token>;
}

const MAX_TOKEN_ANSWER = 1024 * 1024;
const TOKEN_MS = 30_000;
/** Of tokens that do not say; the specification's. */
const DEFAULT_LIFE_S = 60;
/** A token that ends this soon is not used any more. */
const MARGIN_MS = 5000;

export function createAuthorizer(deps: AuthDeps): Authorizer {
  const { http } = deps;
  const states = new Map<string, Promise<HostState>>();

  async function token(state: HostState, target: AuthTarget, signal: AbortSignal): Promise<string> {
    const scopes = scopesOf(target, state.challenge);
    const key = scopes.join(' ');
    const known = state.tokens.get(key);
    if (known !== undefined && known.expires > Date.now() + MARGIN_MS) return known.value;
    const fresh = await state.fetching.get(key, signal, (joint) =>
      within(TOKEN_MS, `token for ${target.host}`, joint, (bounded) =>
        fetchToken(http, target, state, scopes, bounded),
      ),
    );
    state.tokens.set(key, fresh);
    return fresh.value;
  }

  async function begin(host: string, challenge: Challenge, headers: readonly string[]): Promise<HostState> {
    const credentials = await deps.credentials(host, headers);
    return { challenge, credentials, tokens: new Map(), fetching: createShared() };
  }

  return {
    async authorization(target, signal) {
      const state = await states.get(target.host);
      if (state === undefined) return undefined;
      const { credentials: own, challenge } = state;
      if (own?.kind === 'header') return own.value;
      if (challenge.scheme === 'bearer') return `Bearer ${await token(state, target, signal)}`;
      return own?.kind === 'password' ? basic(own.username, own.secret) : undefined;
    },

    async refused(target, answer, sent, signal) {
      const headers = answer.headers('www-authenticate');
      const challenges = parseChallenges(headers);
      const challenge =
        challenges.find(({ scheme }) => scheme === 'bearer') ?? challenges.find(({ scheme }) => scheme === 'basic');
      if (challenge === undefined) return false;
      if (sent === undefined) {
        // Requests side by side learn at the same time that they must say who they are.
        let begun = states.get(target.host);
        if (begun === undefined) {
          begun = begin(target.host, challenge, headers);
          states.set(target.host, begun);
        }
        const { credentials } = await begun;
        return credentials !== undefined || challenge.scheme === 'bearer';
      }
      const state = await states.get(target.host);
      if (state === undefined || challenge.scheme !== 'bearer' || state.credentials?.kind === 'header') return false;
      state.challenge = challenge;
      // A token may have ended early, or have been for less than is asked now: once more, with a new one.
      const key = scopesOf(target, challenge).join(' ');
      if (sent === `Bearer ${state.tokens.get(key)?.value}`) state.tokens.delete(key);
      await token(state, target, signal);
      return true;
    },
  };
}

/** What the request needs, and what the host says it needs. */
function scopesOf({ scopes }: AuthTarget, { parameters }: Challenge): string[] {
  const asked = (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
  return [...new Set([...scopes, ...asked])].sort();
}

function basic(username: string, secret: string): string {
  return `Basic ${Buffer.from(`${username}:${secret}`).toString('base64')}`;
}

async function fetchToken(
  http: Http,
  target: AuthTarget,
  state: HostState,
  scopes: readonly string[],
  signal: AbortSignal,
): Promise<Token> {
  const { challenge, credentials } = state;
  const realm = challenge.parameters.get('realm') ?? '';
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  const where = `token for ${target.host} from "${realm}"`;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new Failure('unauthenticated', `${where}: not an http(s) URL: unauthenticated`);
  }
  // What is sent there may be a password: never in clear where the registry itself is not.
  if (url.protocol === 'http:' && !target.plain) {
    throw new Failure(
      'permission denied',
      `${where}: the registry is https, its token service is not: permission denied`,
    );
  }
  const service = challenge.parameters.get('service');
  const sameHost = url.host === target.host;
  const common = {
    tls: sameHost ? target.tls : tlsForRealm(target.tls),
    strange: !sameHost && !isLoopback(new URL(`http://${target.host}`).hostname),
  };
  const get = (): Promise<Answer> => {
    if (service !== undefined) url.searchParams.set('service', service);
    for (const scope of scopes) url.searchParams.append('scope', scope);
    if (credentials?.kind === 'password') url.searchParams.set('account', credentials.username);
    const headers: Record<string, string> =
      credentials?.kind === 'password' ? { authorization: basic(credentials.username, credentials.secret) } : {};
    return http.exchange({ method: 'GET', url, headers, ...common }, signal);
  };
  const post = (own: Credentials): Promise<Answer> => {
    const form = new URLSearchParams({ client_id: 'davit', scope: scopes.join(' ') });
    if (service !== undefined) form.set('service', service);
    if (own.kind === 'refresh') {
      form.set('grant_type', 'refresh_token');
      form.set('refresh_token', own.token);
    } else if (own.kind === 'password') {
      form.set('grant_type', 'password');
      form.set('username', own.username);
      form.set('password', own.secret);
    }
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    return http.exchange({ method: 'POST', url, headers, body: Buffer.from(form.toString()), ...common }, signal);
  };
  let answer = credentials?.kind === 'refresh' ? await post(credentials) : await get();
  if (credentials?.kind === 'password' && (answer.status === 404 || answer.status === 405)) {
    answer.discard();
    answer = await post(credentials);
  }
  const text = (await readLimited(answer.body, MAX_TOKEN_ANSWER, where)).toString('utf8');
  if (answer.status !== 200) {
    const who = credentials === undefined ? 'without credentials' : 'with the credentials given';
    const kind =
      answer.status === 401 ? 'unauthenticated' : answer.status === 403 ? 'permission denied' : 'unavailable';
    throw new Failure(kind, `${where}: ${answer.status} ${who}${shown(text)}: ${kind}`);
  }
  const { token, refresh } = tokenIn(text, where);
  // Who hands out a new identity token may take no other from now on.
  if (credentials?.kind === 'refresh' && refresh !== undefined) state.credentials = { kind: 'refresh', token: refresh };
  return token;
}

/** A skipped verification holds for the registry's own token service too; its authorities do as well, client keys do not. */
function tlsForRealm(tls: TlsOptions | undefined): TlsOptions | undefined {
  return tls === undefined ? undefined : { ...tls, client: [] };
}

function tokenIn(text: string, where: string): { token: Token; refresh: string | undefined } {
  const { token, access_token: access, expires_in: life, refresh_token: refresh } = objectIn(text);
  const value = token || access;
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new Failure('unauthenticated', `${where}: the answer has no token: unauthenticated`);
  }
  const seconds = typeof life === 'number' ? Math.max(life, DEFAULT_LIFE_S) : DEFAULT_LIFE_S;
  return {
    token: { value, expires: Date.now() + seconds * 1000 },
    refresh: typeof refresh === 'string' && refresh !== '' ? refresh : undefined,
  };
}

/** Empty for anything but a JSON object. */
function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function shown(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim().slice(0, 200);
  return line === '' ? '' : `: ${line}`;
}
