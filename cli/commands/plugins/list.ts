import type { Plugin } from '../../../proto/gen/containerd.services.introspection.v1.ts';
import { formatPlatform } from '../../../client/images/platform.ts';
import { kindOfCode } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { listFlags, printList } from '../../output/list.ts';
import { align, type TableStyle } from '../../output/table.ts';

const STYLE: TableStyle = { minWidth: 4, padding: 4 };

export const command = define({
  usage: '[flags] [<filter> ...]',
  flags: { ...listFlags, detailed: flag.switch({ alias: 'd', help: 'everything about each plugin' }) },
  examples: ['davit plugins ls', "davit plugins ls -d 'type==io.containerd.snapshotter.v1'"],
  async run(context, flags, filters) {
    const client = await context.client();
    const { plugins } = await client.introspection.Plugins({ filters });
    if (flags.detailed && flags.format === 'table' && !flags.quiet) {
      context.print(align(plugins.map(details).join(''), STYLE));
      return;
    }
    printList(context, flags, {
      items: plugins,
      name: (plugin) => plugin.id,
      header: ['TYPE', 'ID', 'PLATFORMS', 'STATUS'],
      row: (plugin) => [plugin.type, plugin.id, platforms(plugin) || '-', status(plugin)],
      style: STYLE,
    });
  },
});

function platforms(plugin: Plugin): string {
  return plugin.platforms.map((each) => formatPlatform({ ...each, os: each.os })).join(',');
}

function status(plugin: Plugin): string {
  if (plugin.init_err === null) return 'ok';
  return plugin.init_err.message.includes('skip plugin') ? 'skip' : 'error';
}

function details(plugin: Plugin): string {
  const lines = [`Type:\t${plugin.type}`, `ID:\t${plugin.id}`];
  if (plugin.requires.length > 0) lines.push('Requires:\t', ...plugin.requires.map((each) => `\t${each}`));
  if (plugin.platforms.length > 0) lines.push(`Platforms:\t${platforms(plugin)}`);
  const exported = Object.entries(plugin.exports).toSorted(([a], [b]) => (a < b ? -1 : 1));
  if (exported.length > 0) lines.push('Exports:\t', ...exported.map(([key, value]) => `\t${key}\t${value}`));
  if (plugin.capabilities.length > 0) lines.push(`Capabilities:\t${plugin.capabilities.join(',')}`);
  if (plugin.init_err !== null) {
    lines.push('Error:\t', `\tCode:\t${kindOfCode(plugin.init_err.code)}`, `\tMessage:\t${plugin.init_err.message}`);
  }
  return `${lines.join('\n')}\n\t\n`;
}
