// Image names.

const DEFAULT_HOST = 'docker.io';

/** `busybox` as `docker.io/library/busybox:latest`, the name that other tools find it under. */
export function normalizeReference(text: string): string {
  const slash = text.indexOf('/');
  const first = text.slice(0, Math.max(slash, 0));
  const hasHost = slash > 0 && (first.includes('.') || first.includes(':') || first === 'localhost');
  const [host, rest] = hasHost
    ? [first === 'index.docker.io' ? DEFAULT_HOST : first, text.slice(slash + 1)]
    : [DEFAULT_HOST, text];
  const path = host === DEFAULT_HOST && !rest.includes('/') ? `library/${rest}` : rest;
  const tagged = path.includes('@') || path.lastIndexOf(':') > path.lastIndexOf('/');
  return `${host}/${path}${tagged ? '' : ':latest'}`;
}

/** The tag, or else the digest, of a full name; what OCI's ref.name annotation holds. */
export function referenceObject(name: string): string {
  const at = name.indexOf('@');
  const colon = name.lastIndexOf(':', at < 0 ? name.length : at);
  if (colon > name.lastIndexOf('/', at < 0 ? name.length : at)) return name.slice(colon + 1, at < 0 ? undefined : at);
  return at < 0 ? '' : name.slice(at + 1);
}

/**
 * The name of an image that an archive calls `ref`: `base:ref` for a mere tag. A full name stays,
 * unless `onlyBase` asks for those below `base` and it is not: then undefined.
 */
export function nameFromArchive(ref: string, base: string, onlyBase: boolean): string | undefined {
  if (!/[/:@]/.test(ref)) return `${base}:${ref}`;
  if (!onlyBase) return ref;
  const below = ref.startsWith(base) && (ref.length === base.length || /[:/@]/.test(ref[base.length] ?? ''));
  return below ? ref : undefined;
}
