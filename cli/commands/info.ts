import type { InfoResponse } from '../../proto/gen/davit.services.daemon.v1.ts';
import { ClientError } from '../../client/errors.ts';
import { define } from '../command.ts';
import { format, jsonText, plain } from '../output/json.ts';
import { NARROW, table } from '../output/table.ts';
import { binarySize, rfc3339Nano } from '../output/units.ts';

export const command = define({
  usage: '[flags]',
  description:
    'Shows what the daemon is, what it has, what it found and set right when it was started last, and what is\n' +
    'wrong with the machine, with the remedy. Of another daemon than davitd, only its identity.',
  flags: { format },
  examples: ['davit info', 'davit info --format json'],
  async run(context, flags) {
    const client = await context.client();
    const [{ uuid, pid, pidns, deprecations }, daemon] = await Promise.all([
      client.introspection.Server({}),
      client.daemon.Info({}).catch(unlessForeign),
    ]);
    const server = plain({ uuid, pid, pidns, deprecations });
    if (flags.format === 'json' || daemon === undefined) {
      context.print(jsonText(daemon === undefined ? { server } : { server, daemon: plain(daemon) }));
      return;
    }
    context.print(identityText(daemon, uuid, pid) + recoveryText(daemon) + warningsText(daemon));
  },
});

function unlessForeign(error: unknown): undefined {
  if (error instanceof ClientError && error.kind === 'not implemented') return undefined;
  throw error;
}

function identityText(daemon: InfoResponse, uuid: string, pid: string): string {
  const { version, revision, root, state, address, kernel, cgroups, shim, snapshotters, counts } = daemon;
  const lines: [name: string, value: string][] = [
    ['Version', revision === '' ? version : `${version} (${revision})`],
    ['UUID', uuid],
    ['Process', pid],
    ['Started', daemon.started_at === null ? '' : rfc3339Nano(daemon.started_at)],
    ['Root', root],
    ['State', state],
    ['Address', address],
    ['Shim', shim],
    [
      'Snapshotters',
      snapshotters.map(({ name, problem }) => (problem === '' ? name : `${name} (not loaded)`)).join(', '),
    ],
    ['Kernel', kernel],
    ['Cgroups', cgroups],
  ];
  if (counts !== null) {
    const { namespaces, containers, tasks, images, blobs, content_bytes } = counts;
    lines.push(['Namespaces', `${namespaces}`], ['Containers', `${containers}, ${tasks} with a task`]);
    lines.push(['Images', `${images}`], ['Content', `${binarySize(content_bytes)} in ${blobs} blobs`]);
  }
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return lines.map(([name, value]) => `${`${name}:`.padEnd(width)}${value}\n`).join('');
}

function recoveryText({ recovery }: InfoResponse): string {
  const findings = recovery?.findings ?? [];
  if (findings.length === 0) return '\nAt its start it found nothing of an earlier daemon.\n';
  const reconnected = findings.filter(({ outcome }) => outcome === 'reconnected').length;
  const others = findings.filter(({ outcome }) => outcome !== 'reconnected');
  const rows = others.map(({ what, namespace, id, outcome, detail }) => [what, namespace, id, outcome, detail]);
  const dropped = recovery?.dropped ?? 0;
  return (
    `\nAt its start it found ${reconnected} running tasks and ${others.length + dropped} other things:\n` +
    (rows.length === 0 ? '' : table(['WHAT', 'NAMESPACE', 'ID', 'OUTCOME', 'DETAIL'], rows, NARROW)) +
    (dropped === 0 ? '' : `and ${dropped} more, which are in its log\n`)
  );
}

function warningsText({ warnings }: InfoResponse): string {
  return warnings.map(({ problem, remedy }) => `\nWarning: ${problem}\n  Remedy: ${remedy}\n`).join('');
}
