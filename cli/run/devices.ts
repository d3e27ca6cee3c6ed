// Device nodes of this host, for --device and --privileged.
import { readdirSync, statSync, type BigIntStats } from 'node:fs';
import path from 'node:path';
import type { Device, Spec } from '../../spec/types.ts';

/** Made for each container anew, or no business of a container. */
const SKIPPED = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console']);

/** Every device below /dev that a container may share. */
export function hostDevices(): Device[] {
  return devicesBelow('/dev');
}

/** `FILE[:PATH-IN-CONTAINER[:rwm]]`, or a directory of devices. Throws when there is no device. */
export function addDevice(spec: Spec, text: string): void {
  const [source = '', target = source, access = 'rwm'] = text.split(':');
  const found = statSync(source, { bigint: true });
  const devices = found.isDirectory() ? devicesBelow(source) : [toDevice(source, found)];
  const [first] = devices;
  if (first === undefined) throw new Error(`device "${source}": neither a device nor a directory with devices`);
  const linux = (spec.linux ??= {});
  const rules = ((linux.resources ??= {}).devices ??= []);
  for (const device of devices) {
    if (device === undefined) throw new Error(`device "${source}": not a device`);
    const inside = found.isDirectory() ? target + device.path.slice(source.length) : target;
    (linux.devices ??= []).push({ ...device, path: inside });
    rules.push({ allow: true, type: device.type, major: device.major, minor: device.minor, access });
  }
}

function devicesBelow(directory: string): Device[] {
  const devices: Device[] = [];
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (SKIPPED.has(entry.name)) continue;
    const file = path.join(directory, entry.name);
    if (entry.isDirectory()) devices.push(...devicesBelow(file));
    else if (entry.isCharacterDevice() || entry.isBlockDevice()) {
      const device = toDevice(file, statSync(file, { bigint: true }));
      if (device !== undefined) devices.push(device);
    }
  }
  return devices;
}

function toDevice(file: string, found: BigIntStats): Device | undefined {
  if (!found.isCharacterDevice() && !found.isBlockDevice()) return undefined;
  const number = found.rdev;
  return {
    path: file,
    type: found.isBlockDevice() ? 'b' : 'c',
    major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)),
    minor: Number((number & 0xffn) | ((number >> 12n) & ~0xffn)),
    fileMode: Number(found.mode & 0o7777n),
    uid: Number(found.uid),
    gid: Number(found.gid),
  };
}
