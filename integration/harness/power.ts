// A disk that power can be cut from: ext4 on a loop device, whose file lies on btrfs.
//
// The loop device writes directly to its file, past the page cache: what ext4 has not sent to its disk
// is not in the file. A snapshot of the btrfs subvolume is the disk as it is at that moment, as a cut
// would leave it; mounting it replays ext4's journal.
import { execFile, execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** A moment at which power was cut, to go back to. */
export interface Cut {
  readonly name: string;
  /** performance.now(): what was acknowledged before `from` must be there, what began after `to` cannot be. */
  readonly from: number;
  readonly to: number;
}

export interface Disk {
  /** Where it is mounted; always the same folder. */
  readonly mountPoint: string;
  /** Takes the present state of what is mounted for later; who uses it is not disturbed. */
  cut(): Promise<Cut>;
  /** Mounts what a cut left in the place of what is mounted, the journal replayed: it is the disk from now on. */
  restore(cut: Cut): void;
  /** Forgets a cut. It must not be mounted. */
  drop(cut: Cut): void;
  unmount(): void;
  /** Unmounts and removes everything. */
  remove(): void;
}

/** Why there can be no such disk on this machine; undefined when there can. */
export function powerRefused(): string | undefined {
  return readFileSync('/proc/filesystems', 'utf8').includes('\tbtrfs\n') ? undefined : 'the kernel has no btrfs';
}

const run = (program: string, ...args: string[]): string => execFileSync(program, args, { encoding: 'utf8' }).trim();

export function createDisk(megabytes: number): Disk {
  const folder = mkdtempSync('/tmp/davit-cut-');
  const host = path.join(folder, 'btrfs');
  const mountPoint = path.join(folder, 'disk');
  let current = path.join(host, 'live');
  mkdirSync(host);
  mkdirSync(mountPoint);
  let cuts = 0;
  let device: string | undefined;

  function mount(image: string): void {
    device = run('losetup', '--direct-io=on', '--find', '--show', image);
    run('mount', '-t', 'ext4', device, mountPoint);
  }
  function unmount(): void {
    if (device === undefined) return;
    run('umount', mountPoint);
    run('losetup', '--detach', device);
    device = undefined;
  }

  const image = `${folder}/btrfs.img`;
  // Sparse: only what is written takes space, and snapshots share it.
  run('truncate', '-s', `${megabytes * 4 + 256}M`, image);
  run('mkfs.btrfs', '--quiet', image);
  run('mount', '-o', 'loop', image, host);
  run('btrfs', '--quiet', 'subvolume', 'create', current);
  run('truncate', '-s', `${megabytes}M`, `${current}/ext4.img`);
  run('mkfs.ext4', '-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0', `${current}/ext4.img`);
  mount(`${current}/ext4.img`);

  return {
    mountPoint,
    async cut() {
      const name = `cut-${cuts++}`;
      const from = performance.now();
      await execute('btrfs', ['--quiet', 'subvolume', 'snapshot', current, path.join(host, name)]);
      return { name, from, to: performance.now() };
    },
    restore(cut) {
      unmount();
      current = path.join(host, cut.name);
      mount(path.join(current, 'ext4.img'));
    },
    drop: (cut) => void run('btrfs', '--quiet', 'subvolume', 'delete', path.join(host, cut.name)),
    unmount,
    remove() {
      unmount();
      run('umount', host);
      rmSync(folder, { recursive: true });
    },
  };
}

/**
 * Words before a command that runs as on another start of the machine: with a boot id of its own, in
 * a mount namespace of its own.
 */
export function onAnotherBoot(bootFile: string): readonly string[] {
  const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
  return ['unshare', '--mount', 'sh', '-c', script, bootFile];
}
