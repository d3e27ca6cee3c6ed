import { lstatSync, statSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import path from 'node:path';
import { copyIn, copyOut } from '../../../native/addon/index.ts';
import type { Client } from '../../../client/connect.ts';
import { readPath, writePath } from '../../../client/copy.ts';
import { flag } from '../../args/flags.ts';
import { define, MissingArgument, required } from '../../command.ts';
import { followed, lookInside, unfollowed } from '../../copy/container.ts';
import { parsePlace, targetOf, type Found, type Place } from '../../copy/place.ts';
import { stdout, writeAll } from '../../io/output.ts';
import { bars, LONG_MS } from '../../output/bars.ts';
import { bytesPart } from '../../output/parts.ts';
import { binarySize } from '../../output/units.ts';

type InContainer = Extract<Place, { kind: 'container' }>;

export const command = define({
  usage: '[flags] <container>:<path>|<local>|- <container>:<path>|<local>|-',
  description: `Copies files out of a container, or into one that is there; running or not. With \`-\` a tar archive is
read from stdin or written to stdout. A directory is copied into one that exists, \`DIR/.\` copies what is in it, and a
destination that does not exist becomes the copy. Paths in a container start at its root. Device nodes are not
made on this machine. A container that does not run is seen without its volumes.`,
  flags: {
    archive: flag.switch({ alias: 'a', help: 'keep owners; else root owns what comes in, and you what comes out' }),
    'follow-link': flag.switch({ alias: 'L', help: 'follow a link that the source path is' }),
    quiet: flag.switch({ alias: 'q', help: 'do not say how much was copied' }),
  },
  examples: ['davit cp web:/etc/nginx ./conf', 'davit cp index.html web:/srv/', 'davit cp web:/var/log - | tar t'],
  async run(context, flags, [first, second]) {
    const from = parsePlace(required(first, 'source'));
    const to = parsePlace(required(second, 'destination'));
    if ((from.kind === 'container') === (to.kind === 'container'))
      throw new MissingArgument('one of both must be in a container (CONTAINER:PATH), the other must not');
    const client = await context.client();
    const shown = bars(process.stderr, LONG_MS);
    let copied = 0;
    const counted = async function* (bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of bytes) {
        shown.part(bytesPart('files', 'copying', (copied += chunk.length)));
        yield chunk;
      }
    };
    const options = { archive: flags.archive, follow: flags['follow-link'], counted };
    try {
      if (from.kind === 'container') await copyFrom(client, from, to, options);
      else await copyTo(client, from, to as InContainer, options);
    } finally {
      shown.end();
    }
    if (!flags.quiet && to.kind !== 'stream') context.note(`Copied ${binarySize(copied)} to ${second}\n`);
  },
});

interface Options {
  readonly archive: boolean;
  readonly follow: boolean;
  readonly counted: (bytes: AsyncIterable<Buffer>) => AsyncGenerator<Buffer>;
}

async function copyFrom(client: Client, from: InContainer, to: Place, options: Options): Promise<void> {
  if (to.kind === 'stream') {
    if (process.stdout.isTTY) throw new MissingArgument('an archive is nothing for a terminal; name a directory');
    const source = options.follow ? await followed(client, from) : from;
    return await writeAll(stdout(), options.counted(readPath(client, source)));
  }
  const source = await (options.follow ? followed : unfollowed)(client, from);
  // It keeps the name that it was asked for by.
  const asked = { path: from.path, directory: source.directory };
  const { directory, name } = await targetOf(asked, (to as { path: string }).path, (at) =>
    Promise.resolve(lookHere(at)),
  );
  const owner = options.archive ? null : { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const place = {
    root: path.resolve(directory),
    path: '',
    as: name === '.' ? '' : name,
    owner,
    devices: false,
    ids: null,
  };
  await copyIn(place, options.counted(readPath(client, source)));
}

async function copyTo(client: Client, from: Place, to: InContainer, options: Options): Promise<void> {
  const into = (directory: string) => ({ container: to.container, path: directory });
  if (from.kind === 'stream') {
    const target = await followed(client, to);
    if (!target.directory) throw new Error(`"${to.path}" is no directory; an archive goes into one`);
    // An archive says itself whose files are.
    return await writePath(client, into(target.path), options.counted(process.stdin as AsyncIterable<Buffer>), true);
  }
  const given = (from as { path: string }).path;
  const follow = options.follow || /(^|\/)\.?$/.test(given);
  const source = follow ? await realpath(given) : path.resolve(given);
  const info = (follow ? statSync : lstatSync)(given);
  const end = (await lookInside(client, to))?.path ?? to.path;
  const asked = { path: given, directory: info.isDirectory() };
  const target = await targetOf(
    asked,
    to.path.endsWith('/') ? `${end.replace(/\/$/, '')}/` : end,
    async (at): Promise<Found> => {
      const found = await lookInside(client, into(at));
      return found === undefined ? undefined : found.directory ? 'directory' : 'other';
    },
  );
  const archive = copyOut({ root: '/', path: source, follow: false, walk: true, name: target.name, ids: null });
  await writePath(client, into(target.directory), options.counted(archive), options.archive);
}

function lookHere(at: string): Found {
  const info = statSync(at, { throwIfNoEntry: false });
  return info === undefined ? undefined : info.isDirectory() ? 'directory' : 'other';
}
