import type { Metrics as V1 } from '../../../proto/gen/io.containerd.cgroups.v1.ts';
import type { Metrics as V2 } from '../../../proto/gen/io.containerd.cgroups.v2.ts';
import { unpackMessage } from '../../../client/any.ts';
import { ClientError } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { jsonText, withoutZeros } from '../../output/json.ts';
import { WIDE, table } from '../../output/table.ts';
import { goTime } from '../../output/units.ts';

const V1_NAME = 'io.containerd.cgroups.v1.Metrics';
const V2_NAME = 'io.containerd.cgroups.v2.Metrics';

export const command = define({
  usage: '[flags] CONTAINER',
  description: 'Shows what a container uses: one reading of its cgroup.',
  flags: { format: flag.choice(['table', 'json'], 'table', { help: 'a few values as a table, or all as JSON' }) },
  examples: ['davit tasks metrics web', 'davit tasks metrics --format json web | jq .memory.usage'],
  async run(context, flags, [first]) {
    const id = required(first, 'container id');
    const client = await context.client();
    const { metrics } = await client.tasks.Metrics({ filters: [`id==${id}`] });
    const [metric] = metrics;
    if (metric === undefined || metric.data === null)
      throw new ClientError('not found', `metrics of container "${id}": not found`);
    const message = unpackMessage(metric.data);
    const name = metric.data.type_url.slice(metric.data.type_url.lastIndexOf('/') + 1);
    if (flags.format === 'json') {
      context.print(jsonText(withoutZeros(numbers(message ?? metric.data)), '  '));
      return;
    }
    context.print(table(['ID', 'TIMESTAMP'], [[metric.id, goTime(metric.timestamp)]], WIDE));
    context.print('\n');
    if (name !== V1_NAME && name !== V2_NAME)
      throw new ClientError('not implemented', `metrics of type ${name}: only --format json shows them`);
    const rows = name === V1_NAME ? v1Rows(message as V1) : v2Rows(message as V2);
    context.print(table(['METRIC', 'VALUE'], rows, WIDE));
  },
});

function v1Rows({ memory, cpu, pids }: V1): string[][] {
  const rows: string[][] = [];
  if (memory?.usage) {
    rows.push(['memory.usage_in_bytes', memory.usage.usage], ['memory.limit_in_bytes', memory.usage.limit]);
    rows.push(['memory.stat.cache', memory.total_cache]);
  }
  if (cpu?.usage)
    rows.push(['cpuacct.usage', cpu.usage.total], ['cpuacct.usage_percpu', `[${cpu.usage.per_cpu.join(' ')}]`]);
  if (pids) rows.push(['pids.current', pids.current], ['pids.limit', pids.limit]);
  return rows;
}

function v2Rows({ pids, cpu, memory }: V2): string[][] {
  const rows: string[][] = [];
  if (pids) rows.push(['pids.current', pids.current], ['pids.limit', pids.limit]);
  for (const [prefix, group] of [
    ['cpu', cpu],
    ['memory', memory],
  ] as const) {
    for (const [key, value] of Object.entries(group ?? {})) {
      if (typeof value === 'string') rows.push([`${prefix}.${key}`, value]);
    }
  }
  return rows;
}

/** All strings of digits in these messages are 64-bit integers. */
function numbers(value: unknown): unknown {
  if (typeof value === 'string') return /^-?\d+$/.test(value) ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map(numbers);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, numbers(item)]));
}
