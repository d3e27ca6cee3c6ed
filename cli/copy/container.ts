// Looking at a path in a container: what the archive of its own entry says.
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { extract } from 'tar-stream';
import type { Client } from '../../client/connect.ts';
import { readPath, type ContainerPath } from '../../client/copy.ts';
import { isNotFound } from '../../client/errors.ts';

export interface Stat {
  readonly directory: boolean;
  /** Of a link. */
  readonly link: string | undefined;
}

const MOST_LINKS = 40;

/** Throws `not found`. No more is read than the first entry's header takes. */
async function stat(client: Client, place: ContainerPath): Promise<Stat> {
  const archive = extract();
  let found: Stat | undefined;
  archive.on('entry', ({ type, linkname }, content, next) => {
    found ??= { directory: type === 'directory', link: type === 'symlink' ? (linkname ?? '') : undefined };
    content.resume();
    next();
  });
  const ended = finished(archive);
  ended.catch(() => undefined);
  for await (const chunk of readPath(client, place, { walk: false })) {
    archive.write(chunk);
    await new Promise((resolve) => setImmediate(resolve));
    if (found !== undefined) break;
  }
  if (found === undefined) {
    archive.end(null);
    await ended;
  }
  if (found === undefined) throw new Error(`container "${place.container}": nothing in the archive of ${place.path}`);
  return found;
}

/** The path that links at its end lead to, and whether it is a directory. Throws `not found`. */
export async function followed(client: Client, place: ContainerPath): Promise<ContainerPath & { directory: boolean }> {
  let at = place;
  for (let links = 0; links < MOST_LINKS; links++) {
    const { directory, link } = await stat(client, at);
    if (link === undefined) return { ...at, directory };
    at = { container: at.container, path: path.posix.resolve('/', path.posix.dirname(at.path), link) };
  }
  throw new Error(`container "${place.container}": ${place.path}: too many links`);
}

/** As it is, a link itself. */
export async function unfollowed(
  client: Client,
  place: ContainerPath,
): Promise<ContainerPath & { directory: boolean }> {
  return { ...place, directory: (await stat(client, place)).directory };
}

/** Undefined when it is not there. */
export async function lookInside(client: Client, place: ContainerPath) {
  try {
    return await followed(client, place);
  } catch (error) {
    if (isNotFound(error) && (error as Error).message.includes('path "')) return undefined;
    throw error;
  }
}
