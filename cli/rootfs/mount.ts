// Mounting what the daemon's snapshotters describe, with mount(8).
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import path from 'node:path';
import type { Mount } from '../../proto/gen/containerd.types.ts';

/** mount(2) takes one page of options. */
const MAX_OPTIONS = 4000;

/** Mounts all on `target`, in order. Throws with mount(8)'s words; nothing stays mounted then. */
export function mountAll(mounts: readonly Mount[], target: string): void {
  let mounted = 0;
  try {
    for (const mount of mounts) {
      const { options, cwd } = shorten(mount.options);
      const type = mount.options.some((option) => option === 'bind' || option === 'rbind') ? [] : ['-t', mount.type];
      const list = options.length > 0 ? ['-o', options.join(',')] : [];
      run('mount', [...type, ...list, mount.source || mount.type, target], cwd);
      mounted++;
    }
  } catch (error) {
    for (; mounted > 0; mounted--) spawnSync('umount', ['-l', '--', target]);
    throw error;
  }
}

export function unmount(target: string): void {
  run('umount', ['--', target]);
}

/** Runs `work` with the mounts on a directory of their own, which is gone afterwards. */
export async function withMounted<T>(mounts: readonly Mount[], work: (root: string) => Promise<T> | T): Promise<T> {
  const target = mkdtempSync('/tmp/davit-mount-');
  try {
    mountAll(mounts, target);
    try {
      return await work(target);
    } finally {
      execFileSync('umount', ['-l', '--', target]);
    }
  } finally {
    rmdirSync(target);
  }
}

/** The same mounts for looking only: no upper directory to write to. */
export function readOnly(mounts: readonly Mount[]): Mount[] {
  return mounts.map((mount) => {
    const { upper, lower } = overlayLayers(mount);
    if (upper === undefined) return { ...mount, options: [...mount.options.filter((option) => option !== 'rw'), 'ro'] };
    const others = mount.options.filter(
      (option) => !/^(upperdir|lowerdir|workdir)=/.test(option) && option !== 'volatile',
    );
    return { ...mount, options: [...others, 'ro', `lowerdir=${[upper, ...lower].join(':')}`] };
  });
}

/** The directories of an overlay mount, the topmost lower one first. */
export function overlayLayers(mount: Mount): { readonly upper: string | undefined; readonly lower: readonly string[] } {
  if (mount.type !== 'overlay') return { upper: undefined, lower: [] };
  const option = (name: string): string | undefined =>
    mount.options.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
  return { upper: option('upperdir'), lower: option('lowerdir')?.split(':') ?? [] };
}

/** Many layers: names them relative to the directory that they share. */
function shorten(options: readonly string[]): { options: readonly string[]; cwd?: string } {
  if (options.join(',').length <= MAX_OPTIONS) return { options };
  const lower = options
    .find((option) => option.startsWith('lowerdir='))
    ?.slice('lowerdir='.length)
    .split(':');
  const [first] = lower ?? [];
  if (lower === undefined || first === undefined) return { options };
  let base = path.dirname(first);
  while (!lower.every((layer) => layer.startsWith(`${base}/`))) base = path.dirname(base);
  const relative = lower.map((layer) => layer.slice(base.length + 1)).join(':');
  return {
    options: options.map((option) => (option.startsWith('lowerdir=') ? `lowerdir=${relative}` : option)),
    cwd: base,
  };
}

function run(program: string, args: readonly string[], cwd?: string): void {
  const result = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...(cwd === undefined ? {} : { cwd }),
  });
  if (result.error !== undefined) throw new Error(`${program}: ${result.error.message}`, { cause: result.error });
  if (result.status !== 0) throw new Error(result.stderr.trim() || `${program}: exit status ${result.status}`);
}
