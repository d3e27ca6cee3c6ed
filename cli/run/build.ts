// From flags to the OCI spec, in the order in which ctr applies them: later ones win.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { capabilitiesOfMask } from '../../spec/capabilities.ts';
import { defaultSpec } from '../../spec/default.ts';
import { hasVariable, mergeEnvironment, parseEnvironmentFile } from '../../spec/environment.ts';
import { applyImageConfig, processOf, type ImageConfig } from '../../spec/image.ts';
import { parseMount } from '../../spec/mounts.ts';
import { parseIdMapping, useHostNetwork, useNamespace, useUserNamespace } from '../../spec/namespaces.ts';
import { addCapabilities, allowAllDevices, dropCapabilities, makePrivileged } from '../../spec/privileges.ts';
import type { Resources, Seccomp, Spec } from '../../spec/types.ts';
import { processUser, type UserFiles } from '../../spec/users.ts';
import type { Values } from '../args/flags.ts';
import type { containerFlags } from './flags.ts';
import { labelArguments } from './labels.ts';

export type ContainerValues = Values<typeof containerFlags>;

export interface SpecInputs {
  readonly namespace: string;
  readonly id: string;
  readonly flags: ContainerValues;
  /** Command and arguments; empty leaves the image's. */
  readonly args: readonly string[];
  /** The image's config; undefined when the root is a directory. */
  readonly image: ImageConfig | undefined;
  /** That directory. */
  readonly rootfs: string | undefined;
  readonly files: UserFiles;
}

const CPU_PERIOD = 100_000;
const DEFAULT_SHARES = 1024;

/** Throws an Error that names the flag that cannot be honoured. */
export async function buildSpec(inputs: SpecInputs): Promise<Spec> {
  const { flags, args } = inputs;
  refuseUnsupported(flags);
  const spec =
    flags.config === undefined
      ? defaultSpec(inputs.namespace, inputs.id, thermalEvents())
      : await readSpec(flags.config);
  const process = processOf(spec);
  const environment =
    flags['env-file'] === undefined ? [] : parseEnvironmentFile(readFileSync(flags['env-file'], 'utf8'));
  process.env = mergeEnvironment(process.env ?? [], [...environment, ...flags.env]);
  (spec.mounts ??= []).push(...flags.mount.map(parseMount));
  if (inputs.rootfs !== undefined) spec.root = { ...spec.root, path: path.resolve(inputs.rootfs) };
  if (inputs.image !== undefined && flags.config === undefined)
    await applyImageConfig(spec, inputs.image, inputs.files);
  if (flags['read-only']) spec.root = { path: 'rootfs', ...spec.root, readonly: true };
  if (args.length > 0) process.args = [...args];
  if (flags.cwd !== undefined) process.cwd = flags.cwd;
  if (flags.user !== undefined) process.user = await processUser(flags.user, inputs.files);
  if (flags.tty) useTerminal(spec);
  await applyPrivileges(spec, flags);
  if (flags['net-host']) useHostNetwork(spec);
  const annotations = { ...labelArguments(flags.label), ...labelArguments(flags.annotation) };
  if (Object.keys(annotations).length > 0) spec.annotations = { ...spec.annotations, ...annotations };
  applyResources(spec, flags);
  for (const each of flags['with-ns']) joinNamespace(spec, each);
  if (flags.uidmap.length > 0 || flags.gidmap.length > 0) {
    useUserNamespace(spec, flags.uidmap.map(parseIdMapping), flags.gidmap.map(parseIdMapping));
  }
  if (flags.cgroup !== undefined) (spec.linux ??= {}).cgroupsPath = flags.cgroup;
  if (flags.hostname !== undefined) spec.hostname = flags.hostname;
  if (flags['rootfs-propagation'] !== '') (spec.linux ??= {}).rootfsPropagation = flags['rootfs-propagation'];
  if (flags['rdt-class'] !== undefined) (spec.linux ??= {}).intelRdt = { closID: flags['rdt-class'] };
  const limit = flags['rlimit-nofile'];
  if (limit !== undefined) {
    const others = (process.rlimits ?? []).filter(({ type }) => type !== 'RLIMIT_NOFILE');
    process.rlimits = [...others, { type: 'RLIMIT_NOFILE', hard: limit, soft: limit }];
  }
  return spec;
}

function refuseUnsupported(flags: ContainerValues): void {
  const why: Readonly<Record<string, [boolean, string]>> = {
    '--gpus': [
      flags.gpus.length > 0,
      'GPUs need CDI specifications, which davit does not read yet; pass the nodes with --device',
    ],
    '--cni': [flags.cni, 'networking by CNI comes with a later release; use --net-host or --with-ns network:PATH'],
    '--blockio-class': [flags['blockio-class'] !== undefined, 'block I/O classes come with a later release'],
    '--blockio-config-file': [
      flags['blockio-config-file'] !== undefined,
      'block I/O classes come with a later release',
    ],
    '--apparmor-profile': [
      flags['apparmor-profile'] !== undefined && flags['apparmor-default-profile'] !== undefined,
      'cannot be used with --apparmor-default-profile',
    ],
    '--seccomp-profile': [flags['seccomp-profile'] !== undefined && !flags.seccomp, 'needs --seccomp too'],
    '--cpus': [
      flags.cpus !== undefined && flags.cpus > 0 && flags['cpu-quota'] !== undefined,
      'cannot be used with --cpu-quota',
    ],
    '--gidmap': [flags.uidmap.length > 0 !== flags.gidmap.length > 0, 'and --uidmap need each other'],
  };
  for (const [name, [given, reason]] of Object.entries(why)) {
    if (given) throw new Error(`${name}: ${reason}`);
  }
}

async function readSpec(file: string): Promise<Spec> {
  const { parseJson } = await import('../../spec/json.ts');
  return parseJson(readFileSync(file, 'utf8')) as Spec;
}

function useTerminal(spec: Spec): void {
  const settings = processOf(spec);
  settings.terminal = true;
  if (!hasVariable(settings.env ?? [], 'TERM')) settings.env = [...(settings.env ?? []), 'TERM=xterm'];
  const { columns, rows } = globalThis.process.stdout;
  if (columns > 0 && rows > 0) settings.consoleSize = { height: rows, width: columns };
}

async function applyPrivileges(spec: Spec, flags: ContainerValues): Promise<void> {
  const process = processOf(spec);
  if (flags.privileged) {
    makePrivileged(spec, ownCapabilities());
    if (!flags['privileged-without-host-devices']) {
      const { hostDevices } = await import('./devices.ts');
      (spec.linux ??= {}).devices = [...(spec.linux.devices ?? []), ...hostDevices()];
    }
    allowAllDevices(spec);
  }
  if (flags['cap-add'].length > 0) addCapabilities(spec, flags['cap-add'], ownCapabilities());
  if (flags['cap-drop'].length > 0) dropCapabilities(spec, flags['cap-drop']);
  if (flags['allow-new-privs']) process.noNewPrivileges = false;
  if (flags.seccomp) await applySeccomp(spec, flags['seccomp-profile']);
  if (flags['apparmor-default-profile'] !== undefined) {
    const { loadDefaultApparmor } = await import('./apparmor.ts');
    loadDefaultApparmor(flags['apparmor-default-profile']);
    process.apparmorProfile = flags['apparmor-default-profile'];
  }
  if (flags['apparmor-profile'] !== undefined) process.apparmorProfile = flags['apparmor-profile'];
  if (flags.device.length > 0) {
    const { addDevice } = await import('./devices.ts');
    for (const device of flags.device) addDevice(spec, device);
  }
}

async function applySeccomp(spec: Spec, profile: string | undefined): Promise<void> {
  const linux = (spec.linux ??= {});
  if (profile === 'unconfined') delete linux.seccomp;
  else if (profile !== undefined) linux.seccomp = (await readSpec(profile)) as unknown as Seccomp;
  else {
    const { defaultSeccomp } = await import('../../spec/seccomp.ts');
    linux.seccomp = defaultSeccomp(processOf(spec).capabilities?.bounding ?? []);
  }
}

function applyResources(spec: Spec, flags: ContainerValues): void {
  const resources: Resources = ((spec.linux ??= {}).resources ??= {});
  const cpu: NonNullable<Resources['cpu']> = { ...resources.cpu, shares: flags['cpu-shares'] ?? DEFAULT_SHARES };
  if (flags.cpus !== undefined && flags.cpus > 0)
    Object.assign(cpu, { quota: Math.round(flags.cpus * CPU_PERIOD), period: CPU_PERIOD });
  if (flags['cpu-quota'] !== undefined) cpu.quota = flags['cpu-quota'];
  if (flags['cpu-period'] !== undefined) cpu.period = flags['cpu-period'];
  if (flags['cpuset-cpus'] !== undefined) cpu.cpus = flags['cpuset-cpus'];
  if (flags['cpuset-mems'] !== undefined) cpu.mems = flags['cpuset-mems'];
  if (flags.config === undefined || Object.keys(cpu).length > 1) resources.cpu = cpu;
  const limit = flags['memory-limit'];
  if (limit !== undefined && limit > 0n) resources.memory = { ...resources.memory, limit: limit };
}

function joinNamespace(spec: Spec, text: string): void {
  const colon = text.indexOf(':');
  if (colon < 0) throw new Error(`--with-ns "${text}": not of the form TYPE:PATH`);
  useNamespace(spec, text.slice(0, colon), text.slice(colon + 1));
}

/** What a neighbour's work does to a processor's temperature can be read from these, and work be told apart by it. */
export function thermalEvents(processors = '/sys/devices/system/cpu'): string[] {
  if (!existsSync(processors)) return [];
  return readdirSync(processors)
    .filter((name) => /^cpu\d+$/.test(name))
    .map((name) => path.join(processors, name, 'thermal_throttle'))
    .filter((folder) => existsSync(folder));
}

/** What this process could hand on: a container cannot have more than that. */
function ownCapabilities(): string[] {
  const mask = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return capabilitiesOfMask(mask ?? '0');
}
