import { define, required } from '../../command.ts';

export const command = define({
  usage: 'CONTAINER',
  description: 'Freezes all processes of a container.',
  flags: {},
  examples: ['davit tasks pause web'],
  async run(context, _flags, [first]) {
    const client = await context.client();
    await client.tasks.Pause({ container_id: required(first, 'container id') });
  },
});
