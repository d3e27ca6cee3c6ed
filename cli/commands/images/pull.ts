import { hostPlatform, parsePlatform } from '../../../client/images/platform.ts';
import { normalizeReference } from '../../../client/images/reference.ts';
import { chainIds, imageTarget, readImage } from '../../../client/images/resolve.ts';
import { pullImage } from '../../../client/images/transfer.ts';
import { flag } from '../../args/flags.ts';
import { define, MissingArgument, required } from '../../command.ts';
import { format, jsonText } from '../../output/json.ts';
import { transferProgress } from '../../output/transfer.ts';
import { registryFlags, withRegistry } from '../../registry/flags.ts';
import { labelArguments } from '../../run/labels.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';

export const command = define({
  usage: '[flags] <ref>',
  description: `Pulls an image from a registry and unpacks it. \`nginx\` means docker.io/library/nginx:latest.
Who to be at the registry is taken from --user, else from Docker's configuration and credential helpers;
mirrors and certificates from hosts.toml files (docs/registries.md).`,
  flags: {
    ...registryFlags,
    platform: flag.list({ help: 'pull for this platform, as linux/arm64; may be given several times' }),
    'all-platforms': flag.switch({ help: 'pull for all platforms; nothing is unpacked' }),
    'all-metadata': flag.switch({ help: 'pull manifests and configs of the other platforms too' }),
    'skip-metadata': flag.switch({ help: 'accepted for ctr; other platforms are left out unless asked for' }),
    snapshotter: flag.string({ help: 'where to unpack to', env: ['CONTAINERD_SNAPSHOTTER'] }),
    'no-unpack': flag.switch({ help: 'only fetch' }),
    label: flag.list({ takes: 'key=value', help: 'label of the image' }),
    'print-chainid': flag.switch({ help: 'print the name of the topmost snapshot' }),
    'max-concurrent-downloads': flag.integer({ help: "accepted for ctr; the daemon's configuration decides" }),
    local: flag.switch({ help: 'accepted for ctr; the daemon always does the work' }),
    quiet: flag.switch({ alias: 'q', help: 'print nothing but the name' }),
    format,
  },
  examples: [
    'davit images pull nginx',
    'davit images pull --platform linux/arm64 registry.example.com/app:1',
    'davit images pull --user alice registry.example.com/private/app:1',
    'davit images pull --tlscacert ca.pem registry.example.com:5000/app:1',
  ],
  async run(context, flags, [ref]) {
    const name = normalizeReference(required(ref, 'image reference'));
    if (flags.platform.length > 0 && flags['all-platforms'])
      throw new MissingArgument('--platform and --all-platforms cannot be used together; one of them');
    const named = flags.platform.length > 0 ? flags.platform.map(parsePlatform) : [hostPlatform()];
    const platforms = flags['all-platforms'] ? [] : named;
    const client = await context.client();
    const snapshotter = flags['no-unpack'] ? undefined : await defaultSnapshotter(client, flags.snapshotter);
    const quiet = flags.quiet || flags.format === 'json';
    const shown = quiet ? undefined : transferProgress(process.stdout);
    await withRegistry(context, name, flags, async (registry, signal) => {
      try {
        await pullImage(client.with({ signal }), registry, {
          name,
          platforms,
          labels: labelArguments(flags.label),
          allMetadata: flags['all-metadata'],
          snapshotter,
          ...(shown === undefined ? {} : { progress: (progress) => shown.take(progress) }),
        });
      } finally {
        shown?.end();
      }
    });
    const target = await imageTarget(client, name);
    if (flags.format === 'json') context.print(jsonText({ name, target }));
    else context.print(flags.quiet ? `${name}\n` : `${name}@${target.digest}\n`);
    if (!flags['print-chainid']) return;
    const { config } = await readImage(client, target, named[0] ?? hostPlatform());
    context.print(`image chain ID: ${chainIds(config.rootfs.diff_ids).at(-1) ?? ''}\n`);
  },
});
