// Bundles a program into one file under bin/, so that it starts without resolving a thousand
// modules. What cannot be bundled (the LevelDB binding) is resolved from node_modules beside bin/.
//
//   node scripts/bundle.mjs [NAME ...]     (default: every program below)
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { bundleCli } from './bundle-cli.mjs';

const PROGRAMS = {
  davitd: {
    entry: 'services/daemon/main.ts',
    node: ['--max-semi-space-size=2', '--optimize-for-size', '--disable-warning=ExperimentalWarning'],
  },
  davit: { entry: 'cli/main.ts' },
};

// CommonJS dependencies inside an ES module still want these.
const PRELUDE = `import { createRequire as __createRequire } from 'node:module';
import { fileURLToPath as __fileURLToPath } from 'node:url';
import { dirname as __pathDirname } from 'node:path';
const require = __createRequire(import.meta.url);
const __filename = __fileURLToPath(import.meta.url);
const __dirname = __pathDirname(__filename);`;

function revision() {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

const { version } = JSON.parse(fs.readFileSync('package.json', 'utf8'));
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PROGRAMS);
fs.mkdirSync('bin/gen', { recursive: true });
for (const file of fs.readdirSync('proto/gen')) {
  if (file.endsWith('.json')) fs.copyFileSync(path.join('proto/gen', file), path.join('bin/gen', file));
}
for (const name of names) {
  const program = PROGRAMS[name];
  if (!fs.existsSync(program.entry)) {
    console.error(`bundle: ${name}: no ${program.entry}, left out`);
    continue;
  }
  const define = {
    'process.env.DAVIT_VERSION': JSON.stringify(version),
    'process.env.DAVIT_REVISION': JSON.stringify(revision()),
  };
  if (name === 'davit') {
    await bundleCli(define);
    continue;
  }
  const shebang = `#!/usr/bin/env -S node ${program.node.join(' ')}`;
  const outfile = path.join('bin', name);
  await build({
    entryPoints: [program.entry],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: 'linked',
    legalComments: 'none',
    external: ['classic-level'],
    banner: { js: `${shebang}\n${PRELUDE}` },
    define,
    logLevel: 'warning',
  });
  fs.chmodSync(outfile, 0o755);
}
