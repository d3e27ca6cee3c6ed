// Image references: `host[:port]/repository[:tag][@digest]`, and the short forms that people write.
import { parseDigest } from './digest.ts';
import { Failure } from './errors.ts';

export interface Reference {
  /** `docker.io`, `localhost:5000`, `[::1]:5000`. */
  readonly host: string;
  /** `library/nginx`. */
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
}

const DOCKER = 'docker.io';
const HOST =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$/;
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const MAX_REPOSITORY = 255;

/**
 * `nginx` is `docker.io/library/nginx:latest`; what has a tag or a digest gets no other tag.
 * Throws `invalid argument` that says which part is wrong.
 */
export function parseReference(text: string): Reference {
  const fail = (why: string): never => {
    throw new Failure('invalid argument', `reference "${text}": ${why}: invalid argument`);
  };
  if (text === '') fail('empty');
  const at = text.indexOf('@');
  const digest = at < 0 ? undefined : text.slice(at + 1);
  if (digest !== undefined) {
    const parsed = parseDigest(digest);
    if (typeof parsed === 'string') fail(parsed);
  }
  const name = at < 0 ? text : text.slice(0, at);
  const colon = name.lastIndexOf(':');
  const tagged = colon > name.lastIndexOf('/') && colon > 0;
  const tag = tagged ? name.slice(colon + 1) : undefined;
  if (tag !== undefined && !TAG.test(tag)) fail(`"${tag}" is not a tag`);
  const [host, rest] = splitHost(tagged ? name.slice(0, colon) : name);
  if (!HOST.test(host)) fail(`"${host}" is not a host`);
  const repository = host === DOCKER && !rest.includes('/') ? `library/${rest}` : rest;
  if (repository.length > MAX_REPOSITORY) fail(`the repository has more than ${MAX_REPOSITORY} characters`);
  if (!REPOSITORY.test(repository)) {
    fail(/[A-Z]/.test(repository) ? `repository "${rest}" must be lower case` : `"${rest}" is not a repository`);
  }
  return { host, repository, tag: tag ?? (digest === undefined ? 'latest' : undefined), digest };
}

export function formatReference({ host, repository, tag, digest }: Reference): string {
  return `${host}/${repository}${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

/** The first part is a host when it has a dot or a port, or is `localhost`. */
function splitHost(name: string): readonly [host: string, rest: string] {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  if (!(first.includes('.') || first.includes(':') || first === 'localhost')) return [DOCKER, name];
  return [first === 'index.docker.io' ? DOCKER : first, name.slice(slash + 1)];
}
