import { define, required } from '../../command.ts';
import { createContainer } from '../../run/create.ts';
import { containerFlags } from '../../run/flags.ts';

export const command = define({
  usage: '[flags] IMAGE|ROOTFS CONTAINER [COMMAND] [ARG...]',
  description: 'Creates a container without starting it; `davit tasks start` does that.',
  flags: containerFlags,
  stopAtFirst: true,
  examples: [
    'davit containers create example.com/web:1 web',
    'davit containers create --env A=1 --label team=a example.com/busybox:1 job sh -c "echo $A"',
    'davit containers create --config config.json job',
  ],
  async run(context, flags, args) {
    const configured = flags.config !== undefined && !flags.rootfs && args.length === 1;
    const [image, name] = configured ? [undefined, args[0]] : args;
    if (!configured) required(image, flags.rootfs ? 'rootfs directory' : 'image ref');
    const id = required(name, 'container id');
    const client = await context.client();
    const { released } = await createContainer(client, { id, image, args: args.slice(configured ? 1 : 2), flags });
    await released;
  },
});
