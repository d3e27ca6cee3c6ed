import type { Info } from '../../../proto/gen/containerd.services.snapshots.v1.ts';
import { define } from '../../command.ts';
import { format, jsonText } from '../../output/json.ts';
import { defaultSnapshotter } from '../../snapshotter.ts';
import { allSnapshots } from './all.ts';
import { nounFlags } from './flags.ts';

export const command = define({
  usage: '[flags]',
  description: 'Shows which snapshots are based on which.',
  flags: { ...nounFlags, format },
  examples: ['davit snapshots tree'],
  async run(context, flags) {
    const client = await context.client();
    const all = await allSnapshots(client, await defaultSnapshotter(client, flags.snapshotter));
    const children = groupByParent(all);
    const names = new Set(all.map(({ name }) => name));
    const roots = all.filter(({ parent }) => !names.has(parent));
    if (flags.format === 'json') context.print(jsonText(roots.map((each) => nested(each, children))));
    else for (const each of roots) print((text) => context.print(text), each, children, 0);
  },
});

function groupByParent(all: readonly Info[]): Map<string, Info[]> {
  const groups = new Map<string, Info[]>();
  for (const info of all) groups.set(info.parent, [...(groups.get(info.parent) ?? []), info]);
  return groups;
}

function print(
  write: (text: string) => void,
  info: Info,
  children: ReadonlyMap<string, readonly Info[]>,
  depth: number,
): void {
  write(depth === 0 ? ` ${info.name}\n` : `${' '.repeat(2 * depth)}\\_ ${info.name}\n`);
  for (const child of children.get(info.name) ?? []) print(write, child, children, depth + 1);
}

function nested(info: Info, children: ReadonlyMap<string, readonly Info[]>): object {
  return { name: info.name, children: (children.get(info.name) ?? []).map((each) => nested(each, children)) };
}
