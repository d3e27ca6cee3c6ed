import { define, required } from '../../command.ts';

export const command = define({
  usage: 'CONTAINER',
  description: 'Lets a paused container go on.',
  flags: {},
  examples: ['davit tasks resume web'],
  async run(context, _flags, [first]) {
    const client = await context.client();
    await client.tasks.Resume({ container_id: required(first, 'container id') });
  },
});
