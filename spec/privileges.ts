// Capabilities, privileged containers, and seccomp where the two meet.
import { ALL_CAPABILITIES, capabilityName } from './capabilities.ts';
import { processOf } from './image.ts';
import type { Capabilities, Spec } from './types.ts';

/** The sets that a container's process gets; inheritable stays empty (CVE-2022-24769). */
const SETS = ['bounding', 'effective', 'permitted'] as const satisfies (keyof Capabilities)[];

export function setCapabilities(spec: Spec, names: readonly string[]): void {
  const process = processOf(spec);
  process.capabilities = { bounding: [...names], effective: [...names], permitted: [...names] };
}

/** `ALL` stands for `available`: what this system can give. */
export function addCapabilities(
  spec: Spec,
  names: readonly string[],
  available: readonly string[] = ALL_CAPABILITIES,
): void {
  const added = names.flatMap((name) => (name.toUpperCase() === 'ALL' ? available : [capabilityName(name)]));
  eachSet(spec, (set) => [...new Set([...set, ...added])]);
}

export function dropCapabilities(spec: Spec, names: readonly string[]): void {
  const dropped = new Set(
    names.flatMap((name) => (name.toUpperCase() === 'ALL' ? ALL_CAPABILITIES : [capabilityName(name)])),
  );
  eachSet(spec, (set) => set.filter((name) => !dropped.has(name)));
}

/**
 * All that `available` has, nothing masked or read-only, no seccomp, every device. Host devices are
 * added by the caller, who can see them.
 */
export function makePrivileged(spec: Spec, available: readonly string[]): void {
  setCapabilities(spec, available);
  const linux = (spec.linux ??= {});
  linux.maskedPaths = [];
  linux.readonlyPaths = [];
  delete linux.seccomp;
  delete processOf(spec).apparmorProfile;
  processOf(spec).selinuxLabel = '';
  for (const mount of spec.mounts ?? []) {
    if (mount.type !== 'sysfs' && mount.type !== 'cgroup') continue;
    mount.options = (mount.options ?? []).map((option) => (option === 'ro' ? 'rw' : option));
  }
  allowAllDevices(spec);
}

export function allowAllDevices(spec: Spec): void {
  const linux = (spec.linux ??= {});
  linux.resources = { ...linux.resources, devices: [{ allow: true, access: 'rwm' }] };
}

function eachSet(spec: Spec, change: (set: string[]) => string[]): void {
  const capabilities = (processOf(spec).capabilities ??= {});
  for (const set of SETS) capabilities[set] = change(capabilities[set] ?? []);
}
