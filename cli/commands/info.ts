import { define } from '../command.ts';
import { jsonText, plain } from '../output/json.ts';

export const command = define({
  usage: '',
  description: "Prints the server's identity and what it calls deprecated, as JSON.",
  flags: {},
  examples: ['davit info'],
  async run(context) {
    const client = await context.client();
    const { uuid, pid, pidns, deprecations } = await client.introspection.Server({});
    context.print(jsonText({ server: plain({ uuid, pid, pidns, deprecations }) }));
  },
});
