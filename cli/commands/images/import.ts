import { createReadStream, statSync } from 'node:fs';
import { addAbortSignal, type Readable } from 'node:stream';
import { importImages } from '../../../client/images/import.ts';
import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { fromWire, readImage } from '../../../client/images/resolve.ts';
import { holdContent } from '../../../client/images/store.ts';
import { importFile } from '../../../client/images/transfer.ts';
import { unpack } from '../../../client/images/unpack.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { untilInterrupted } from '../../io/interrupt.ts';
import { bars, LONG_MS, type Part } from '../../output/bars.ts';
import { bytesPart, layerState } from '../../output/parts.ts';
import { snapshotterFlag } from '../../run/flags.ts';
import { labelArguments } from '../../run/labels.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

const READ_SIZE = 1024 * 1024;
/** With one of these the archive is read here, and its blobs are sent. */
const SENT = ['base-name', 'digests', 'index-name', 'compress-blobs', 'sync-fs'] as const;

export const command = define({
  usage: '[flags] <file>|-',
  description: `Imports the images of an archive: an OCI layout or the output of \`docker save\`, as it is or
compressed with gzip. \`-\` reads stdin. An OCI layout may hold mere tags; they are appended to --base-name, by default
\`import-YYYY-MM-DD\`.`,
  flags: {
    'base-name': flag.string({ help: 'name for images that have only a tag; others with other names are left out' }),
    digests: flag.switch({ help: 'add images named BASE@DIGEST too' }),
    'skip-digest-for-named': flag.switch({ help: 'with --digests: not for images that have a name' }),
    'index-name': flag.string({ help: "keep the archive's index as an image of this name" }),
    'all-platforms': flag.switch({ help: 'keep the content for all platforms' }),
    platform: flag.string({ help: 'keep the content for this platform' }),
    'no-unpack': flag.switch({ help: 'do not unpack the layers' }),
    local: flag.switch({ help: 'accepted for ctr; importing is always done this way' }),
    'compress-blobs': flag.switch({ help: 'compress layers that are not (docker archives)' }),
    'discard-unpacked-layers': flag.switch({ help: 'let go of the layers once they are unpacked' }),
    'sync-fs': flag.switch({ help: 'write layers through to the disk when unpacking' }),
    label: flag.list({ help: 'label for the images (KEY=VALUE)' }),
    snapshotter: snapshotterFlag,
  },
  examples: [
    'davit images import busybox.tar',
    'docker save app:1 | davit images import -',
    'davit images import --base-name example.com/app layout.tar',
  ],
  async run(context, flags, [file]) {
    const source = required(file, 'archive (a file, or - for stdin)');
    const size = source === '-' ? undefined : statSync(source).size;
    const input = (): Readable =>
      source === '-' ? process.stdin : createReadStream(source, { highWaterMark: READ_SIZE });
    const platform = flags.platform === undefined ? hostPlatform() : parsePlatform(flags.platform);
    const baseName = flags['base-name'] ?? `import-${new Date().toISOString().slice(0, 10)}`;
    const root = await context.client();
    const shown = bars(process.stderr, LONG_MS);
    // Below the bars, where both may be on one terminal.
    const later: string[] = [];
    const say = (line: string): void => void (process.stderr.isTTY ? later.push(line) : context.print(line));
    const labels = labelArguments(flags.label);
    const kept = flags['all-platforms'] ? undefined : platform;
    await untilInterrupted((signal) =>
      withLease(root.with({ signal }), async (client) => {
        const snapshotter = flags['no-unpack'] ? undefined : await defaultSnapshotter(client, flags.snapshotter);
        // The daemon reads a file itself, unless images are to be named in ways that it does not know.
        const sent = source === '-' || SENT.some((name) => flags[name] !== undefined && flags[name] !== false);
        const read = sent
          ? undefined
          : await importFile(client, source, {
              baseName,
              platforms: kept === undefined ? [] : [kept],
              labels,
              unpack: snapshotter === undefined ? undefined : { platform, snapshotter },
              progress: ({ event, desc }) => {
                if (desc !== null && (event === 'extracting' || event === 'extracted'))
                  shown.part(layerState(fromWire(desc), event));
              },
            });
        for (const { target } of read ?? []) await holdContent(client, target, kept, true);
        const images =
          read ??
          (await importImages(client, addAbortSignal(signal, input()) as AsyncIterable<Buffer>, {
            baseName,
            onlyBaseName: flags['base-name'] !== undefined,
            digests: flags.digests,
            skipDigestForNamed: flags['skip-digest-for-named'],
            indexName: flags['index-name'],
            platform: kept,
            compress: flags['compress-blobs'],
            labels,
            progress: (bytes) => shown.part(readPart(bytes, size)),
          }));
        if (snapshotter === undefined) return;
        for (const { name, target } of images) {
          const { manifest, config } = await readImage(client, target, platform);
          await unpack(client, manifest, config, {
            snapshotter,
            syncFs: flags['sync-fs'],
            progress: (layer, state) => shown.part(layerState(layer, state)),
          });
          if (flags['discard-unpacked-layers']) await letGo(client, target, platform);
          say(`unpacking ${name} (${target.digest})...done\n`);
        }
      }),
    ).finally(() => {
      shown.end();
      context.print(later.join(''));
    });
  },
});

/** Of the archive; `size` is undefined where it comes from a pipe. */
function readPart(bytes: number, size: number | undefined): Part {
  const part = bytesPart('archive', 'reading', bytes, size);
  return bytes === size ? { ...part, event: 'read', last: true, measured: false } : part;
}

/** Removes the references by which a manifest holds its layers. */
async function letGo(
  client: Parameters<typeof readImage>[0],
  target: Parameters<typeof readImage>[1],
  platform: Parameters<typeof readImage>[2],
): Promise<void> {
  const { selectManifest } = await import('../../../client/images/resolve.ts');
  const { digest } = await selectManifest(client, target, platform);
  const { info } = await client.content.Info({ digest });
  const paths = Object.keys(info?.labels ?? {})
    .filter((key) => key.startsWith('containerd.io/gc.ref.content.l.'))
    .map((key) => `labels.${key}`);
  if (paths.length > 0) await client.content.Update({ info: { digest }, update_mask: { paths } });
}
