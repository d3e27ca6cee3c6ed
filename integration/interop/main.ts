// Runs ctr.sh against a daemon of its own, and counts what is left behind as one more check.
//
//   node dist/integration/interop/main.js [SECTION...]
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDaemon, externalDaemon } from '../harness/daemon.ts';
import { baseline, leftovers, removeNamespaceCgroups } from '../harness/leftovers.ts';
import { addressOf, REPOSITORY } from '../harness/target.ts';
import { writeImages } from '../harness/write-images.ts';

const SUMMARY = /^(\d+) passed, (\d+) failed$/;
const SETTLE_MS = 5000;

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));

const address = addressOf(process.env);
const daemon = address === undefined ? createDaemon() : externalDaemon(address);
const images = mkdtempSync('/tmp/davit-images-');
const namespace = `ctr-${process.pid}`;
/** The script's own, and those that sections of it use. */
const namespaces = [namespace, `${namespace}-convert`, `${namespace}-registry`];
writeImages(images);

await daemon.start();
const scope = {
  target: daemon.target,
  directory: daemon.directory,
  state: daemon.state,
  namespaces,
  pid: daemon.pid,
};
const before = baseline(scope);
const counts = await runScript();
const deadline = performance.now() + SETTLE_MS;
while (leftovers(scope, before).length > 0 && performance.now() < deadline) await sleep(100);
const left = leftovers(scope, before);
await daemon.stop();
removeNamespaceCgroups(namespaces);
rmSync(images, { recursive: true });

if (left.length === 0) {
  console.log('ok    nothing is left behind');
  counts.passed += 1;
} else {
  console.log(`FAIL  nothing is left behind\n${left.map((line) => `      ${line}`).join('\n')}`);
  counts.failed += 1;
}
if (counts.failed > 0)
  console.log(`--- last lines of the daemon's log\n${daemon.log().trimEnd().split('\n').slice(-60).join('\n')}`);
daemon.remove();
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exitCode = counts.failed === 0 ? 0 : 1;

/** Prints the script's lines as they come, except its summary. */
async function runScript(): Promise<{ passed: number; failed: number }> {
  const script = path.join(REPOSITORY, 'integration/interop/ctr.sh');
  const child = spawn(script, [daemon.address, images, ...process.argv.slice(2)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, CTR_TEST_NAMESPACE: namespace },
  });
  const total = { passed: 0, failed: 1 };
  for await (const line of readline.createInterface({ input: child.stdout })) {
    const summary = SUMMARY.exec(line);
    if (summary === null) console.log(line);
    else {
      total.passed = Number(summary[1]);
      total.failed = Number(summary[2]);
    }
  }
  return total;
}
