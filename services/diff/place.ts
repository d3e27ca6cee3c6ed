// Where the files of a list of mounts are, when they can be reached without mounting.
import type { Mount } from '../lib/mount.ts';

/** A folder that takes exactly what the mounts would. */
export interface Place {
  readonly folder: string;
  /** Undefined: a plain tree. */
  readonly overlay: OverlayPlace | undefined;
}

/** The folder is overlayfs' upper layer. */
export interface OverlayPlace {
  /** What is below it, the uppermost first; empty when that is not known yet. */
  readonly lower: readonly string[];
  /** overlayfs keeps its marks in user.* attributes. */
  readonly userXattr: boolean;
}

/** Options that change nothing about the files. Any other makes mounting necessary. */
const BIND_OPTIONS = new Set(['bind', 'rbind', 'rw', 'ro']);
const OVERLAY_OPTIONS = /^(rw|userxattr|index=(on|off)|xino=(on|off|auto)|(upperdir|workdir|lowerdir)=.*)$/;

/** The place to write changes to: an upper layer, or the source of a writable bind mount. */
export function writablePlace(mounts: readonly Mount[]): Place | undefined {
  const [mount, ...others] = mounts;
  if (mount === undefined || others.length > 0 || mount.target !== '') return undefined;
  if (isBind(mount)) return mount.options.includes('ro') ? undefined : { folder: mount.source, overlay: undefined };
  if (mount.type !== 'overlay' || !mount.options.every((option) => OVERLAY_OPTIONS.test(option))) return undefined;
  const upper = optionValue(mount, 'upperdir=');
  const lower = optionValue(mount, 'lowerdir=');
  if (upper === undefined || lower?.includes('\\')) return undefined;
  // Clients that unpack layers side by side give the lower ones at commit only.
  return { folder: upper, overlay: { lower: lower?.split(':') ?? [], userXattr: mount.options.includes('userxattr') } };
}

/** The upper layer that alone holds what `right` has changed, when `left` is exactly what is below it. */
export function changesPlace(left: readonly Mount[], right: readonly Mount[]): Place | undefined {
  const place = writablePlace(right);
  const lower = place?.overlay?.lower ?? [];
  if (lower.length === 0) return undefined;
  const shown = shownLayers(left);
  return shown !== undefined && shown.join(':') === lower.join(':') ? place : undefined;
}

/** How a container's ids are shown to the host: `inside:outside:size[,...]` each. */
export interface IdMaps {
  readonly uids: string;
  readonly gids: string;
}

/**
 * The mounts with files as they are stored: the ids of the host in the upper layer, those of the image
 * below. Undefined ids: nothing is mapped.
 */
export function withoutIdMaps(mounts: readonly Mount[]): { mounts: Mount[]; ids: IdMaps | undefined } {
  const values = (prefix: string): string | undefined =>
    mounts.map((mount) => optionValue(mount, prefix)).find(Boolean);
  const [uids, gids] = [values('uidmap='), values('gidmap=')];
  const stored = mounts.map((mount) => ({
    ...mount,
    options: mount.options.filter((option) => !/^[ug]idmap=/.test(option)),
  }));
  return { mounts: stored, ids: uids === undefined || gids === undefined ? undefined : { uids, gids } };
}

/** The layers, the uppermost first, that read-only mounts show. */
function shownLayers(mounts: readonly Mount[]): readonly string[] | undefined {
  const source = readablePlace(mounts);
  if (source !== undefined) return [source];
  const [mount, ...others] = mounts;
  if (mount?.type !== 'overlay' || others.length > 0 || mount.target !== '') return undefined;
  if (!mount.options.every((option) => OVERLAY_OPTIONS.test(option))) return undefined;
  if (optionValue(mount, 'upperdir=') !== undefined) return undefined;
  return optionValue(mount, 'lowerdir=')?.split(':');
}

/** The folder to read from: the source of a bind mount. */
export function readablePlace(mounts: readonly Mount[]): string | undefined {
  const [mount, ...others] = mounts;
  return mount !== undefined && others.length === 0 && mount.target === '' && isBind(mount) ? mount.source : undefined;
}

/** The same files, read-only: an overlay's upper layer becomes its uppermost lower one, since it may be in use. */
export function readOnly(mounts: readonly Mount[]): Mount[] {
  return mounts.map((mount) => {
    const options = mount.options.filter((option) => option !== 'rw' && option !== 'ro' && option !== 'volatile');
    const upper = optionValue(mount, 'upperdir=');
    if (mount.type !== 'overlay' || upper === undefined) return { ...mount, options: [...options, 'ro'] };
    const lower = optionValue(mount, 'lowerdir=');
    const kept = options.filter((option) => !/^(upperdir|workdir|lowerdir)=/.test(option));
    return { ...mount, options: [...kept, `lowerdir=${lower === undefined ? upper : `${upper}:${lower}`}`, 'ro'] };
  });
}

function isBind(mount: Mount): boolean {
  const bind = mount.type === 'bind' || mount.options.includes('bind') || mount.options.includes('rbind');
  return bind && mount.options.every((option) => BIND_OPTIONS.has(option));
}

function optionValue(mount: Mount, prefix: string): string | undefined {
  return mount.options.find((option) => option.startsWith(prefix))?.slice(prefix.length);
}
