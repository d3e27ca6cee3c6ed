// What the two arguments of `davit cp` mean, and what becomes of a name on the other side; docker's rules.

export type Place =
  | { readonly kind: 'container'; readonly container: string; readonly path: string }
  | { readonly kind: 'local'; readonly path: string }
  | { readonly kind: 'stream' };

/** `CONTAINER:PATH`, `-`, or a local path; one with a colon is written `./a:b`. */
export function parsePlace(text: string): Place {
  if (text === '-') return { kind: 'stream' };
  const colon = text.indexOf(':');
  if (colon < 1 || text.startsWith('/') || text.startsWith('.')) return { kind: 'local', path: text };
  return { kind: 'container', container: text.slice(0, colon), path: text.slice(colon + 1) };
}

/** What is at a path, its links followed; undefined for nothing. */
export type Found = 'directory' | 'other' | undefined;

export interface Target {
  /** A directory that is there. */
  readonly directory: string;
  /** What the source is called in it; '.' for what the source holds. */
  readonly name: string;
}

/** Where `source`, a directory or not, goes when the destination is `path`. Throws an Error when it cannot. */
export async function targetOf(
  source: { readonly path: string; readonly directory: boolean },
  path: string,
  look: (path: string) => Promise<Found>,
): Promise<Target> {
  const found = await look(path);
  if (found === 'directory') {
    const name = baseName(source.path);
    return { directory: path, name: name === '.' || name === '..' ? '.' : name };
  }
  if (found === 'other' && source.directory) throw new Error(`cannot copy a directory to "${path}": it is none`);
  if (/\/\.?$/.test(path))
    throw new Error(`"${path}" is no directory that is there; make it first, or leave out the slash`);
  const [, parent = '', name = path] = /^(.*\/)?([^/]+)$/.exec(path) ?? [];
  const directory = parent === '' ? '.' : parent;
  if ((await look(directory)) !== 'directory')
    throw new Error(`"${directory}" is no directory that is there; make it first`);
  return { directory, name };
}

/** `/a/b/` is `b`; `/a/.` and `/` are `.`. */
export function baseName(path: string): string {
  return path.split('/').filter(Boolean).at(-1) ?? '.';
}
