// What a registry answered, in words for people: URL, status, its own message, who configured it, and
// what to do about it where that is known.
import { Failure, unavailable, type Kind } from '../../lib/errors.ts';
import type { Answer } from './http.ts';
import { readLimited } from './limited.ts';

const MAX_MESSAGE = 16 * 1024;
const MAX_SHOWN = 300;
const MESSAGE_MS = 10_000;

/** An answer that is a refusal. */
export class Refusal extends Failure {
  readonly status: number;
  /** Milliseconds that the registry asks to wait; undefined when it does not say. */
  readonly retryAfter: number | undefined;

  constructor(kind: Kind, message: string, status: number, retryAfter: number | undefined) {
    super(kind, message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

/** `source`: the file that decided to ask this host, '' for none. */
export async function refusalOf(method: string, url: URL, answer: Answer, source: string): Promise<Refusal> {
  const { status } = answer;
  const said = await messageOf(answer);
  const kind = kindOfStatus(status);
  const words = [`${method} ${shownUrl(url)}: ${status}`, ...(said === '' ? [] : [said]), ...remedy(status)];
  const from = source === '' ? '' : ` (configured by ${source})`;
  return new Refusal(kind, `${words.join(': ')}${from}: ${kind}`, status, waitOf(answer.header('retry-after')));
}

/** No answer at all. */
export function transportFailure(method: string, url: URL, error: unknown, source: string): Failure {
  const cause = error instanceof Failure ? (error.cause ?? error) : error;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  const message = error instanceof Error ? error.message.replace(/: unavailable$/, '') : String(error);
  const from = source === '' ? '' : ` (configured by ${source})`;
  const text = `${method} ${shownUrl(url)}: ${hint(code, url) ?? firstLine(message)}${from}`;
  if (error instanceof Failure && error.kind !== 'unavailable') return new Failure(error.kind, text, { cause: error });
  return unavailable(text, { cause: error });
}

/** What a server says in TLS to whom it does not know. */
const CLIENT_REFUSED =
  /_ALERT_(BAD_CERTIFICATE|CERTIFICATE_REQUIRED|CERTIFICATE_UNKNOWN|UNKNOWN_CA|HANDSHAKE_FAILURE)$/;

function hint(code: string, url: URL): string | undefined {
  if (CLIENT_REFUSED.test(code))
    return `the registry wants a client certificate that it knows (${code}); give it as client = in hosts.toml`;
  switch (code) {
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `no address for "${url.hostname}" (${code})`;
    case 'ECONNREFUSED':
      return `nothing listens on ${url.host} (${code})`;
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return 'the server does not speak TLS; use --plain-http, or server = "http://..." in hosts.toml';
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'UNABLE_TO_GET_ISSUER_CERT':
      return `certificate signed by an unknown authority (${code}); give it as ca in hosts.toml or with --tlscacert`;
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `the certificate is not for "${url.hostname}"`;
    case 'CERT_HAS_EXPIRED':
      return 'the certificate has expired';
    default:
      return undefined;
  }
}

function remedy(status: number): string[] {
  if (status === 401) return ['credentials are missing or wrong'];
  if (status === 429) return ['the registry limits how often it is asked'];
  return [];
}

function kindOfStatus(status: number): Kind {
  switch (status) {
    case 400:
      return 'invalid argument';
    case 401:
      return 'unauthenticated';
    case 403:
      return 'permission denied';
    case 404:
      return 'not found';
    case 416:
      return 'out of range';
    default:
      return status >= 500 || status === 408 || status === 429 ? 'unavailable' : 'unknown';
  }
}

/** Of the registry's own errors: `manifest unknown (MANIFEST_UNKNOWN)`. */
async function messageOf(answer: Answer): Promise<string> {
  let text: string;
  const timer = setTimeout(() => answer.discard(), MESSAGE_MS);
  try {
    text = (await readLimited(answer.body, MAX_MESSAGE, 'error')).toString('utf8');
  } catch {
    return '';
  } finally {
    clearTimeout(timer);
  }
  try {
    const { errors } = JSON.parse(text) as { errors?: readonly Readonly<Record<string, unknown>>[] };
    const words = (errors ?? []).map(({ code, message }) =>
      [message, typeof code === 'string' ? `(${code})` : ''].filter((word) => typeof word === 'string' && word !== ''),
    );
    if (words.length > 0) return firstLine(words.map((each) => each.join(' ')).join(', '));
  } catch {
    // Not every error is a registry's.
  }
  return /^\s*</.test(text) ? '' : firstLine(text);
}

function firstLine(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text
    .replace(/[\s\u0000-\u001f\u007f]+/g, ' ')
    .trim()
    .slice(0, MAX_SHOWN);
}

/** Queries of signed URLs are secrets. */
function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}

const MAX_WAIT_MS = 60_000;

function waitOf(header: string | undefined): number | undefined {
  if (header === undefined) return undefined;
  const wait = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now();
  return Number.isFinite(wait) ? Math.min(Math.max(wait, 0), MAX_WAIT_MS) : undefined;
}
