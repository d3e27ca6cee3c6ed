// Checks the arrows between folders (docs/architecture.md) with dependency-cruiser.
//
// With a compiler that it cannot use, dependency-cruiser sees no module and reports no violation.
// So the number of modules seen is compared with the number of files.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { cruise } from 'dependency-cruiser';

const FOLDERS = ['proto', 'client', 'spec', 'cli', 'services', 'native', 'integration', 'bench', 'fuzz'];
const TEST = '\\.test\\.ts$|/testing/';

const rule = (name, comment, from, to) => ({ name, comment, severity: 'error', from, to });
const rules = [
  rule('no-cycle', 'break the cycle: move what both need into a leaf', {}, { circular: true }),
  rule(
    'client-knows-the-wire-only',
    'client/ may import proto/ and npm modules',
    { path: '^client/' },
    { path: '^(cli|services|native|integration|bench)/' },
  ),
  rule(
    'cli-goes-through-client',
    'cli/ reaches the daemon through client/, and the kernel through native/addon/index.ts',
    { path: '^cli/', pathNot: TEST },
    { path: '^(services|integration|bench)/|^native/(?!addon/index\\.ts$)' },
  ),
  rule(
    'spec-is-a-leaf',
    'spec/ builds OCI specs for cli/ and services/cri/, and knows nothing of the project',
    { path: '^spec/', pathNot: TEST },
    { path: '^(client|cli|services|native|proto|integration|bench)/' },
  ),
  rule(
    'services-do-not-know-clients',
    'the daemon never imports client/, cli/ or the tests',
    { path: '^services/', pathNot: TEST },
    { path: '^(client|cli|integration|bench)/' },
  ),
  rule(
    'slice-through-api',
    'a slice sees of another one only its api.ts (or lib/, grpc/, metadata/)',
    { path: '^services/([^/]+)/', pathNot: `^services/daemon/compose\\.ts$|^services/daemon/compose/|${TEST}` },
    {
      path: '^services/([^/]+)/',
      pathNot:
        '^services/$1/|^services/lib/|/api\\.ts$|-api\\.ts$|^services/metadata/codec\\.ts$|^services/grpc/(call|client|handlers|server|status)\\.ts$|^services/version/service\\.ts$',
    },
  ),
  rule(
    'lib-is-a-leaf',
    'services/lib imports nothing of the daemon',
    { path: '^services/lib/' },
    { path: '^services/(?!lib/)' },
  ),
  rule(
    'grpc-at-the-edge',
    '@grpc/* only in service.ts, services/grpc/, services/daemon/listen.ts and client/',
    {
      path: '^(services|cli|native)/',
      pathNot: `/service\\.ts$|^services/grpc/|^services/daemon/listen\\.ts$|${TEST}`,
    },
    { path: 'node_modules/@grpc/' },
  ),
  rule(
    'level-in-metadata',
    'LevelDB is reached through services/metadata',
    { path: '^', pathNot: '^services/metadata/' },
    { path: 'node_modules/(level|classic-level|abstract-level)/' },
  ),
  rule(
    'addon-by-its-face',
    'the addon is used through native/addon/index.ts',
    { path: '^(services|cli|integration|bench)/' },
    { path: '^native/', pathNot: '^native/addon/(index|native\\.d)\\.ts$' },
  ),
];

const files = execFileSync('git', ['ls-files', '--', ...FOLDERS.map((folder) => `${folder}/*.ts`)], {
  encoding: 'utf8',
})
  .split('\n')
  .filter((file) => file !== '' && !file.endsWith('.d.ts') && !new RegExp(TEST).test(file));

// dependency-cruiser's walk over swc's syntax tree does not know `using`; imports are all it is for.
const mirror = path.resolve('build/arrows');
fs.rmSync(mirror, { recursive: true, force: true });
for (const file of files) {
  const copy = path.join(mirror, file);
  fs.mkdirSync(path.dirname(copy), { recursive: true });
  fs.writeFileSync(copy, fs.readFileSync(file, 'utf8').replace(/^(\s*)(?:await )?using (\w+) =/gm, '$1const $2 ='));
}
process.chdir(mirror);

const { output } = await cruise(files, {
  validate: true,
  ruleSet: { forbidden: rules },
  parser: 'swc',
  tsPreCompilationDeps: true,
  doNotFollow: { path: 'node_modules' },
  enhancedResolveOptions: { extensions: ['.ts', '.mjs', '.js', '.json'] },
});

const seen = output.modules.filter((module) => files.includes(module.source)).length;
const edges = output.modules.reduce((sum, module) => sum + module.dependencies.length, 0);
for (const violation of output.summary.violations) {
  console.log(`${violation.rule.name}: ${violation.from} -> ${violation.to}`);
}
if (seen < files.length || edges < files.length) {
  console.log(`only ${seen} of ${files.length} modules and ${edges} imports seen: the parser does not work`);
  process.exitCode = 1;
}
if (output.summary.violations.length > 0) process.exitCode = 1;
console.log(`${seen} modules, ${edges} imports, ${output.summary.violations.length} violations`);
