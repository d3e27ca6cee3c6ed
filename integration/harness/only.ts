// Tests of what Debian's containerd 1.6 does not have.
import type { Context } from 'mocha';
import type { Target } from './target.ts';

/** Skips the test on containerd, and says why. */
export function davitOnly(test: Context, target: Target, reason: string): void {
  if (target === 'davit') return;
  process.stdout.write(`    davit only: ${test.test?.title ?? ''}: ${reason}\n`);
  test.skip();
}
