import { commitContainer } from '../../../client/images/commit.ts';
import { normalizeReference } from '../../../client/images/reference.ts';
import { parseJson } from '../../../spec/json.ts';
import { flag } from '../../args/flags.ts';
import { define, required, type Context } from '../../command.ts';
import { changedConfig } from '../../images/changes.ts';
import { untilInterrupted } from '../../io/interrupt.ts';
import { lastWords } from '../../io/last-words.ts';
import { bars, LONG_MS } from '../../output/bars.ts';
import { format, jsonText } from '../../output/json.ts';
import { bytesPart } from '../../output/parts.ts';

export const command = define({
  usage: '[flags] <container> <image>',
  description: `Makes an image of a container: its own image, and one more layer with what the container has changed.
A running container is paused meanwhile. Volumes and what was given to \`davit run\` (arguments, environment) are
not part of it; --change sets what the image is to say: CMD ENTRYPOINT ENV EXPOSE HEALTHCHECK LABEL ONBUILD
SHELL STOPSIGNAL USER VOLUME WORKDIR, as in a Dockerfile.`,
  flags: {
    author: flag.string({ alias: 'a', help: 'who made it ("Ann <ann@example.com>")' }),
    message: flag.string({ alias: 'm', help: 'what was changed' }),
    change: flag.list({ alias: 'c', help: 'instruction of a Dockerfile to apply, several times' }),
    pause: flag.switchOn({ alias: 'p', help: 'pause the container meanwhile' }),
    format,
  },
  examples: [
    'davit commit web example.com/web:2',
    `davit commit -m 'with data' --change 'CMD ["nginx", "-g", "daemon off;"]' --change 'ENV MODE=test' web web:test`,
  ],
  async run(context, flags, [first, second]) {
    const id = required(first, 'container');
    const name = normalizeReference(required(second, 'image'));
    const root = await context.client();
    const shown = bars(process.stderr, LONG_MS);
    const target = await untilInterrupted(async (signal) => {
      const client = root.with({ signal });
      return await commitContainer(client, id, {
        name,
        author: flags.author,
        message: flags.message,
        createdBy: await commandOf(context, id),
        pause: flags.pause,
        guard: () => lastWords(['-a', context.address, '-n', context.namespace, 'tasks', 'resume', id]),
        configure: (config) => changedConfig(config, flags.change),
        progress: (event, bytes) => shown.part({ ...bytesPart('layer', event, bytes), last: event === 'complete' }),
      });
    }).finally(() => shown.end());
    if (flags.format === 'json') context.print(jsonText({ name, target }));
    else context.print(`${name}@${target.digest}\n`);
  },
});

/** What the container runs, as the history shows it. */
async function commandOf(context: Context, id: string): Promise<string> {
  const { container } = await (await context.client()).containers.Get({ id });
  const text = container?.spec?.value.toString() ?? '';
  const spec = (text === '' ? {} : parseJson(text)) as { process?: { args?: readonly string[] } };
  return (spec.process?.args ?? []).join(' ');
}
