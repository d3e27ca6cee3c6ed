// The text of --help.
import type { Flag, Flags } from './args/flags.ts';
import type { Command, Noun, Verb } from './command.ts';
import { globalFlags } from './context.ts';
import { align, type TableStyle } from './output/table.ts';

const STYLE: TableStyle = { minWidth: 1, padding: 2 };

export function nounHelp(path: readonly string[], noun: Noun): string {
  const name = ['davit', ...path].join(' ');
  const sections = [
    section('NAME', `${name} - ${noun.summary}`),
    section('USAGE', `${name} ${path.length === 0 ? '[global options] ' : ''}command [options] [arguments...]`),
    section('COMMANDS', verbList(noun)),
  ];
  if (Object.keys(noun.flags).length > 0) sections.push(section('OPTIONS', flagList(noun.flags)));
  if (path.length === 0) sections.push(section('GLOBAL OPTIONS', flagList(globalFlags)));
  if (noun.usual !== undefined) sections.push(`\`${name}\` without a command is \`${name} ${noun.usual}\`.\n`);
  sections.push(`Run \`${name} COMMAND --help\` for a command's options and examples.\n`);
  return sections.join('\n');
}

export function verbHelp(path: readonly string[], verb: Verb, command: Command): string {
  const name = ['davit', ...path].join(' ');
  const sections = [section('NAME', `${name} - ${verb.summary}`), section('USAGE', `${name} ${command.usage}`)];
  if (verb.aliases.length > 0) sections.push(section('ALIASES', verb.aliases.join(', ')));
  if (command.description !== undefined) sections.push(section('DESCRIPTION', command.description));
  if (Object.keys(command.flags).length > 0) sections.push(section('OPTIONS', flagList(command.flags)));
  if (command.examples.length > 0) sections.push(section('EXAMPLES', command.examples.join('\n')));
  return sections.join('\n');
}

function section(title: string, body: string): string {
  return `${title}:\n${body.trimEnd().replace(/^(?=.)/gm, '   ')}\n`;
}

function verbList(noun: Noun): string {
  const rows = Object.entries(noun.verbs).map(
    ([name, verb]) => `${[name, ...verb.aliases].join(', ')}\t${verb.summary}`,
  );
  return align(rows.join('\n'), STYLE);
}

export function flagList(flags: Flags): string {
  return align(
    Object.entries(flags)
      .map(([name, flag]) => `${flagNames(name, flag)}\t${flagHelp(flag)}`)
      .join('\n'),
    STYLE,
  );
}

function flagNames(name: string, flag: Flag<unknown>): string {
  const takes = flag.takes === undefined ? '' : ` ${flag.takes}`;
  return [name, ...flag.alias].map((each) => `${each.length === 1 ? '-' : '--'}${each}`).join(', ') + takes;
}

function flagHelp(flag: Flag<unknown>): string {
  const { initial } = flag;
  const shown =
    typeof initial === 'string' || (typeof initial === 'number' && initial !== 0)
      ? ` (default: ${JSON.stringify(initial)})`
      : '';
  const env = flag.env.length > 0 ? ` [${flag.env.map((name) => `$${name}`).join(', ')}]` : '';
  return flag.help + shown + env;
}
