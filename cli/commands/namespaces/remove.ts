import { rmdirSync } from 'node:fs';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { forEach } from '../../each.ts';

export const command = define({
  usage: '[flags] <name> [<name> ...]',
  description: 'Removes namespaces, which must be empty: no containers, images, content or snapshots.',
  flags: { cgroup: flag.switch({ alias: 'c', help: "remove the namespace's cgroup too" }) },
  examples: ['davit namespaces rm build'],
  async run(context, flags, names) {
    required(names[0], 'namespace name');
    const client = await context.client();
    return await forEach(
      context,
      names,
      async (name) => {
        await client.namespaces.Delete({ name });
        if (flags.cgroup) removeCgroups(name);
        context.print(`${name}\n`);
      },
      'namespace not found',
    );
  },
});

/** In every hierarchy there is; only empty groups can be removed. */
function removeCgroups(name: string): void {
  const hierarchies = [
    '',
    ...[
      'cpu,cpuacct',
      'memory',
      'pids',
      'blkio',
      'cpuset',
      'devices',
      'freezer',
      'hugetlb',
      'net_cls,net_prio',
      'perf_event',
      'systemd',
      'unified',
    ].map((each) => `${each}/`),
  ];
  for (const hierarchy of hierarchies) {
    try {
      rmdirSync(`/sys/fs/cgroup/${hierarchy}${name}`);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENOENT' && code !== 'ENOTDIR' && code !== 'EROFS') throw error;
    }
  }
}
