import { define } from '../command.ts';
import { format, jsonText } from '../output/json.ts';

export const command = define({
  usage: '[flags]',
  flags: { format },
  examples: ['davit version', 'davit version --format json'],
  async run(context, flags) {
    const client = await context.client();
    const [server, identity] = await Promise.all([client.version.Version({}), client.introspection.Server({})]);
    const own = { version: process.env.DAVIT_VERSION ?? '0.0.0-dev', revision: process.env.DAVIT_REVISION ?? '' };
    if (flags.format === 'json') {
      context.print(
        jsonText({ client: { ...own, node: process.version }, server: { ...server, uuid: identity.uuid } }),
      );
      return;
    }
    context.print(
      `Client:\n  Version:  ${own.version}\n  Revision: ${own.revision}\n  Node.js version: ${process.version}\n\n` +
        `Server:\n  Version:  ${server.version}\n  Revision: ${server.revision}\n  UUID: ${identity.uuid}\n`,
    );
  },
});
