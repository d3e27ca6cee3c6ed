// Writes docs/cli.md from the commands' own definitions; needs dist/ (make typescript).
//
//   node scripts/cli-docs.mjs            write it
//   node scripts/cli-docs.mjs --check    exit 1 when it is not what would be written
import fs from 'node:fs';
import { NOUNS } from '../dist/cli/commands.js';
import { globalFlags } from '../dist/cli/context.js';
import { flagList, verbHelp } from '../dist/cli/help.js';

const FILE = 'docs/cli.md';

const lines = [
  '# davit: every command',
  '',
  'Written by `node scripts/cli-docs.mjs` from the commands themselves. `davit COMMAND --help` shows the same.',
  '',
  "The commands, their aliases, flags and tables are ctr's. Beyond ctr: `--format json` wherever there is a",
  'table, sizes like `100m`, short switches joined (`-dt`), an exec that needs no id, `containers rm --force`,',
  'ctrl-p ctrl-q to leave a container running, and errors that say what to do.',
  '',
  'Flags are written `--name value`, `--name=value` or `-name value`. For `run`, `containers create` and',
  '`tasks exec` they come before the first argument: what follows belongs to the command in the container.',
  '',
  '## Global options',
  '',
  '```',
  flagList(globalFlags).trimEnd(),
  '```',
  '',
  '## Exit status',
  '',
  "`run`, `tasks start`, `tasks attach` and `tasks exec` end with the process's own status. Otherwise: 0 all went",
  'well, 1 something failed, 3 no such command, 141 nobody reads the output any more.',
  '',
];

for (const [name, node] of Object.entries(NOUNS)) {
  lines.push(`## ${[name, ...node.aliases].join(', ')}`, '', `${node.summary}.`, '');
  await describe([name], node);
}

async function describe(path, node) {
  if (node.kind === 'verb') {
    lines.push('```', verbHelp(path, node, (await node.load()).command).trimEnd(), '```', '');
    return;
  }
  for (const [name, child] of Object.entries(node.verbs)) {
    if (child.kind === 'verb') lines.push(`### ${[...path, name].join(' ')}`, '');
    await describe([...path, name], child);
  }
}

const text = lines.join('\n');
if (process.argv.includes('--check')) {
  if (!fs.existsSync(FILE) || fs.readFileSync(FILE, 'utf8') !== text) {
    console.error(`${FILE}: not what scripts/cli-docs.mjs writes`);
    process.exitCode = 1;
  }
} else {
  fs.mkdirSync('docs', { recursive: true });
  fs.writeFileSync(FILE, text);
}
