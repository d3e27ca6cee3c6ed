import type { Info } from '../../../proto/gen/containerd.services.content.v1.ts';
import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';

const LAYER_REFERENCE = /^containerd\.io\/gc\.ref\.content\.l\./;

export const command = define({
  usage: '[flags]',
  description: `Removes the labels by which manifests hold their layers' content, so that garbage collection
can have it. Images that are unpacked still run; they can no longer be exported.`,
  flags: {
    async: flag.switch({ help: 'do not wait for the garbage collection' }),
    dry: flag.switch({ help: 'only show what would be done' }),
  },
  examples: ['davit content prune references --dry', 'davit content prune references'],
  async run(context, flags) {
    const client = await context.client();
    const infos: Info[] = [];
    for await (const { info } of client.content.List({})) infos.push(...info);
    for (const { digest, labels } of infos) {
      const keys = Object.keys(labels).filter((key) => LAYER_REFERENCE.test(key));
      if (keys.length === 0) continue;
      for (const key of keys) context.print(`${digest} ${key}=${labels[key]}\n`);
      if (flags.dry) continue;
      await client.content.Update({ info: { digest }, update_mask: { paths: keys.map((key) => `labels.${key}`) } });
    }
    if (flags.dry || flags.async) return;
    // Ending a lease with `sync` is how a client asks for a collection.
    const { lease } = await client.leases.Create({ id: `prune-${process.hrtime.bigint()}` });
    if (lease !== null) await client.leases.Delete({ id: lease.id, sync: true });
  },
});
