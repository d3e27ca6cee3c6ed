import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { jsonText } from '../../output/json.ts';
import { containerJson, specOf } from './json.ts';

export const command = define({
  usage: '[flags] CONTAINER',
  description: 'Prints what the daemon knows of a container, as JSON.',
  flags: { spec: flag.switch({ help: 'only the OCI spec' }) },
  examples: ['davit containers info web', 'davit containers info --spec web | jq .process.args'],
  async run(context, flags, [first]) {
    const id = required(first, 'container id');
    const client = await context.client();
    const { container } = await client.containers.Get({ id });
    if (container !== null) context.print(jsonText(flags.spec ? specOf(container) : containerJson(container)));
  },
});
