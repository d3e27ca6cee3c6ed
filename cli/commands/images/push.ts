import { parsePlatform } from '../../../client/images/platform.ts';
import { normalizeReference } from '../../../client/images/reference.ts';
import { imageTarget } from '../../../client/images/resolve.ts';
import { pushImage } from '../../../client/images/transfer.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { format, jsonText } from '../../output/json.ts';
import { transferProgress } from '../../output/transfer.ts';
import { registryFlags, withRegistry } from '../../registry/flags.ts';

export const command = define({
  usage: '[flags] <ref> [<local_ref>]',
  description: `Pushes an image to the registry that its name says, or another image under that name. What the
registry has already is not sent again.`,
  flags: {
    ...registryFlags,
    platform: flag.list({ help: 'push what is for this platform; may be given several times' }),
    'max-concurrent-uploaded-layers': flag.integer({ help: "accepted for ctr; the daemon's configuration decides" }),
    local: flag.switch({ help: 'accepted for ctr; the daemon always does the work' }),
    quiet: flag.switch({ alias: 'q', help: 'print nothing but the name' }),
    format,
  },
  examples: [
    'davit images push registry.example.com/app:1',
    'davit images push --plain-http registry.example.com:5000/app:1 app:latest',
  ],
  async run(context, flags, [ref, local]) {
    const reference = normalizeReference(required(ref, 'image reference'));
    const client = await context.client();
    const name = local === undefined || local === '' ? reference : normalizeReference(local);
    const target = await imageTarget(client, name);
    const quiet = flags.quiet || flags.format === 'json';
    const shown = quiet ? undefined : transferProgress(process.stdout);
    await withRegistry(context, reference, flags, async (registry, signal) => {
      try {
        await pushImage(client.with({ signal }), registry, {
          name,
          platforms: flags.platform.map(parsePlatform),
          ...(shown === undefined ? {} : { progress: (progress) => shown.take(progress) }),
        });
      } finally {
        shown?.end();
      }
    });
    if (flags.format === 'json') context.print(jsonText({ name: reference, target }));
    else context.print(flags.quiet ? `${reference}\n` : `${reference}@${target.digest}\n`);
  },
});
