// Which kernel namespaces a container has of its own, joins, or shares with the host.
import type { IdMapping, Spec } from './types.ts';

const TYPES = ['pid', 'network', 'mount', 'ipc', 'uts', 'user', 'cgroup', 'time'];

/** Joins the namespace at `path`, or makes a new one when there is no path. */
export function useNamespace(spec: Spec, type: string, path?: string): void {
  if (!TYPES.includes(type)) throw new Error(`namespace type "${type}": not one of ${TYPES.join(', ')}`);
  const linux = (spec.linux ??= {});
  const entry = path === undefined ? { type } : { type, path };
  const at = (linux.namespaces ??= []).findIndex((each) => each.type === type);
  if (at < 0) linux.namespaces.push(entry);
  else linux.namespaces[at] = entry;
}

export function shareWithHost(spec: Spec, type: string): void {
  const linux = (spec.linux ??= {});
  linux.namespaces = (linux.namespaces ?? []).filter((each) => each.type !== type);
}

/** Host network with the host's name resolution. */
export function useHostNetwork(spec: Spec): void {
  shareWithHost(spec, 'network');
  for (const file of ['/etc/hosts', '/etc/resolv.conf']) {
    (spec.mounts ??= []).push({ destination: file, type: 'bind', source: file, options: ['rbind', 'ro'] });
  }
}

/** `container-id:host-id:length`. */
export function parseIdMapping(text: string): IdMapping {
  const numbers = text.split(':').map((part) => (/^\d+$/.test(part) ? Number(part) : NaN));
  const [containerID, hostID, size] = numbers;
  if (
    numbers.length !== 3 ||
    containerID === undefined ||
    hostID === undefined ||
    size === undefined ||
    numbers.some((n) => !(n < 2 ** 32))
  ) {
    throw new Error(`id mapping "${text}": not of the form CONTAINER-ID:HOST-ID:LENGTH`);
  }
  return { containerID, hostID, size };
}

export function useUserNamespace(spec: Spec, uids: IdMapping[], gids: IdMapping[]): void {
  useNamespace(spec, 'user');
  const linux = (spec.linux ??= {});
  linux.uidMappings = uids;
  linux.gidMappings = gids;
}
