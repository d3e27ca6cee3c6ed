// Bundles the programs into bin/, each into one file, so that they start without resolving a thousand
// modules.
//
//   node scripts/bundle.mjs [NAME ...]     (default: every program below)
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { bundleCli } from './bundle-cli.mjs';
import { bundleDaemon } from './bundle-daemon.mjs';

const PROGRAMS = { davitd: bundleDaemon, davit: bundleCli };

function revision() {
  try {
    return execFileSync('git', ['rev-parse', 'HEAD'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim();
  } catch {
    return '';
  }
}

const { version } = JSON.parse(fs.readFileSync('package.json', 'utf8'));
const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(PROGRAMS);
fs.mkdirSync('bin', { recursive: true });
for (const name of names) {
  await PROGRAMS[name]({
    'process.env.DAVIT_VERSION': JSON.stringify(version),
    'process.env.DAVIT_REVISION': JSON.stringify(revision()),
  });
}
