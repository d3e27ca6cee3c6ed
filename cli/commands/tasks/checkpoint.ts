import path from 'node:path';
import { packMessage } from '../../../client/any.ts';
import { withLease } from '../../../client/lease.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';

export const command = define({
  usage: '[flags] CONTAINER',
  description: `Saves the processes of a running container with the program criu: to a folder, or into the content
store, where only a lease or an image keeps them (see \`davit containers checkpoint\`).`,
  flags: {
    exit: flag.switch({ help: 'end the container when it is saved' }),
    'image-path': flag.string({ help: 'folder for the images of the processes' }),
    'work-path': flag.string({ help: "folder for criu's log" }),
    'tcp-established': flag.switch({ help: 'allow open TCP connections' }),
    'file-locks': flag.switch({ help: 'allow file locks' }),
    'ext-unix-sk': flag.switch({ help: 'allow unix sockets to the outside' }),
  },
  examples: ['davit tasks checkpoint --exit --image-path /var/tmp/web web'],
  async run(context, flags, [first]) {
    const id = required(first, 'container id');
    const absolute = (folder: string | undefined): string => (folder === undefined ? '' : path.resolve(folder));
    const options = packMessage('containerd.runc.v1.CheckpointOptions', {
      exit: flags.exit,
      image_path: absolute(flags['image-path']),
      work_path: absolute(flags['work-path']),
      open_tcp: flags['tcp-established'],
      file_locks: flags['file-locks'],
      external_unix_sockets: flags['ext-unix-sk'],
    });
    await withLease(await context.client(), async (client) => {
      const { descriptors } = await client.tasks.Checkpoint({ container_id: id, options });
      for (const { media_type: type, digest } of descriptors) context.print(`${digest} ${type}\n`);
    });
  },
});
