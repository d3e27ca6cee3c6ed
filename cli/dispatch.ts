// From arguments to the command that they name, and its exit status.
import { UsageError, parse, type Parsed } from './args/parse.ts';
import type { Flags } from './args/flags.ts';
import { MissingArgument, type Command, type Noun, type Verb } from './command.ts';
import { createContext, globalFlags } from './context.ts';
import { NOUNS } from './commands.ts';
import { print } from './io/output.ts';

/** Of a command that does not exist; ctr's choice. */
const EXIT_NO_COMMAND = 3;

const ROOT: Noun = { kind: 'noun', aliases: [], summary: 'run and manage containers', flags: {}, verbs: NOUNS };
const HELP = new Set(['--help', '-help', '-h', 'help']);

export async function main(argv: readonly string[], env: NodeJS.ProcessEnv): Promise<number> {
  let name = 'davit';
  try {
    const globals = parse(globalFlags, argv, { stopAtFirst: true, env });
    if (globals.values.version)
      return show(`davit github.com/davit/davit ${process.env.DAVIT_VERSION ?? '0.0.0-dev'}\n`);
    let rest = globals.rest;
    let node: Noun | Verb = ROOT;
    const path: string[] = [];
    const nounFlags: Flags = {};
    const nounArguments: string[] = [];
    if (globals.values.help) rest = ['help', ...rest];
    while (node.kind === 'noun') {
      const { usual }: Noun = node;
      const bare = rest[0] === undefined || (rest[0].startsWith('-') && !HELP.has(rest[0]));
      if (usual !== undefined && bare) rest = [usual, ...rest];
      const word: string | undefined = rest[0];
      if (word === undefined || HELP.has(word)) return await showHelp(path, node, rest.slice(1));
      if (word.startsWith('-')) {
        const after = afterFlags(node.flags, rest, env);
        Object.assign(nounFlags, node.flags);
        nounArguments.push(...rest.slice(0, rest.length - after.length));
        rest = after;
        continue;
      }
      const found = findVerb(node, word);
      if (found === undefined) return unknownCommand(path, word, node);
      path.push(found[0]);
      Object.assign(nounFlags, node.flags);
      node = found[1];
      rest = rest.slice(1);
    }
    name = ['davit', ...path].join(' ');
    const { command } = await node.load();
    const parsed = parseVerb(command, nounFlags, [...nounArguments, ...rest], env);
    if (parsed === undefined) return await showVerbHelp(path, node, command);
    const context = createContext(globals.values, env);
    try {
      return (await command.run(context, parsed.values, parsed.rest)) ?? 0;
    } finally {
      await context.close();
    }
  } catch (error) {
    return await report(error, name);
  }
}

/** Undefined when help was asked for. */
function parseVerb(
  command: Command,
  nounFlags: Flags,
  rest: readonly string[],
  env: NodeJS.ProcessEnv,
): Parsed<Flags> | undefined {
  const flags = { ...nounFlags, ...command.flags };
  const help = { help: globalFlags.help };
  const parsed = parse({ ...help, ...flags }, rest, { stopAtFirst: command.stopAtFirst ?? false, env });
  return parsed.values['help'] ? undefined : parsed;
}

/** What follows the flags between a noun and its verb. */
function afterFlags(flags: Flags, rest: readonly string[], env: NodeJS.ProcessEnv): readonly string[] {
  return parse(flags, rest, { stopAtFirst: true, env }).rest;
}

function findVerb(noun: Noun, word: string): [string, Verb | Noun] | undefined {
  const exact = noun.verbs[word];
  if (exact !== undefined && Object.hasOwn(noun.verbs, word)) return [word, exact];
  return Object.entries(noun.verbs).find(([, verb]) => verb.aliases.includes(word));
}

function show(text: string): number {
  print(1, text);
  return 0;
}

async function showHelp(path: readonly string[], noun: Noun, rest: readonly string[]): Promise<number> {
  let node: Noun | Verb = noun;
  const names = [...path];
  for (const word of rest) {
    if (node.kind === 'verb') break;
    const found = findVerb(node, word);
    if (found === undefined) return unknownCommand(names, word, node);
    names.push(found[0]);
    node = found[1];
  }
  if (node.kind === 'verb') return await showVerbHelp(names, node, (await node.load()).command);
  const { nounHelp } = await import('./help.ts');
  return show(nounHelp(names, node));
}

async function showVerbHelp(path: readonly string[], verb: Verb, command: Command): Promise<number> {
  const { verbHelp } = await import('./help.ts');
  return show(verbHelp(path, verb, command));
}

function unknownCommand(path: readonly string[], word: string, noun: Noun): number {
  const at = ['davit', ...path].join(' ');
  const near = Object.keys(noun.verbs).find((name) => name.startsWith(word.slice(0, 2)));
  print(
    2,
    `davit: no command "${word}" under \`${at}\`${near ? `; did you mean "${near}"?` : ''}\nRun \`${at} --help\` for what there is.\n`,
  );
  return EXIT_NO_COMMAND;
}

async function report(error: unknown, name: string): Promise<number> {
  if (error instanceof UsageError || error instanceof MissingArgument) {
    print(2, `davit: ${error.message}\nRun \`${name} --help\` for its usage.\n`);
    return 1;
  }
  const { explain } = await import('./explain.ts');
  print(2, explain(error));
  return 1;
}
