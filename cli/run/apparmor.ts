// Loads the default AppArmor profile into the kernel.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { defaultApparmor } from '../../spec/apparmor.ts';

const ENABLED = '/sys/module/apparmor/parameters/enabled';

/** Replaces the profile of this name if there is one: it is always what this version generates. */
export function loadDefaultApparmor(name: string): void {
  const profile = defaultApparmor(name);
  if (!isEnabled()) throw new Error('--apparmor-default-profile: AppArmor is not enabled in this kernel');
  const { status, stderr, error } = spawnSync('apparmor_parser', ['--replace', '--skip-cache'], {
    input: profile,
    encoding: 'utf8',
  });
  if (error !== undefined) throw new Error(`--apparmor-default-profile: run apparmor_parser: ${error.message}`);
  if (status !== 0) throw new Error(`--apparmor-default-profile: apparmor_parser: ${stderr.trim()}`);
}

function isEnabled(): boolean {
  try {
    return readFileSync(ENABLED, 'utf8').startsWith('Y');
  } catch {
    return false;
  }
}
