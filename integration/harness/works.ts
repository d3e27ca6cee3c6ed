// Pieces of work that a fault can hit: each can be done, looked at, and done again.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Client } from '../../client/connect.ts';
import { isAlreadyExists, isNotFound } from '../../client/errors.ts';
import { withLease } from '../../client/lease.ts';
import type { Mount } from '../../proto/gen/containerd.types.ts';
import { collectGarbage } from './agreement.ts';
import { removeTask } from './cleanup.ts';
import { createContainer, createTask } from './container.ts';
import { collect } from './expect.ts';
import { makeLayer, sha256, type TestImage } from './image.ts';
import { ROOTED } from './load.ts';
import { descriptor, getBlob, putBlob } from './store.ts';

export interface Work {
  /** What has to be there before. */
  prepare?(client: Client): Promise<void>;
  /** Does it, as a client that may have tried before. */
  run(client: Client): Promise<void>;
  /** Whether it is done. Throws when it is half done. */
  done(client: Client): Promise<boolean>;
  /** Removes what prepare() and run() made. */
  undo(client: Client): Promise<void>;
}

const snapshotter = 'overlayfs';
const BYTES = Buffer.alloc(300_000, 'work');
const FILE = 'the file of a layer\n';
export const EXIT = 3;

const ignore =
  (fine: (error: unknown) => boolean) =>
  (error: unknown): undefined => {
    if (!fine(error)) throw error;
    return undefined;
  };
/** Whether what the call asks for is there. */
const isThere = (call: Promise<unknown>): Promise<boolean> =>
  call.then(() => true, ignore(isNotFound)).then((found) => found === true);

const blob: Work = {
  run: async (client) => void (await putBlob(client, BYTES, ROOTED)),
  async done(client) {
    if (!(await isThere(client.content.Info({ digest: sha256(BYTES) })))) return false;
    if (!BYTES.equals(await getBlob(client, sha256(BYTES)))) throw new Error('half a blob is visible');
    return true;
  },
  undo: async (client) => void (await client.content.Delete({ digest: sha256(BYTES) })),
};

const lease: Work = {
  run: async (client) => void (await client.leases.Create({ id: 'work' }).catch(ignore(isAlreadyExists))),
  done: async (client) => (await client.leases.List({ filters: ['id==work'] })).leases.length === 1,
  undo: async (client) => void (await client.leases.Delete({ id: 'work' })),
};

/** Collection of a blob that nothing refers to any more. */
const garbage: Work = {
  async prepare(client) {
    await client.leases.Create({ id: 'holds' });
    await putBlob(client.with({ lease: 'holds' }), BYTES);
  },
  async run(client) {
    await client.leases.Delete({ id: 'holds', sync: true }).catch(ignore(isNotFound));
    await collectGarbage(client);
  },
  done: async (client) => !(await isThere(client.content.Info({ digest: sha256(BYTES) }))),
  undo: async () => undefined,
};

const isSnapshot = (client: Client, key: string): Promise<boolean> =>
  isThere(client.snapshots.Stat({ snapshotter, key }));

const prepared: Work = {
  run: async (client) =>
    void (await client.snapshots.Prepare({ snapshotter, key: 'work', labels: ROOTED }).catch(ignore(isAlreadyExists))),
  done: (client) => isSnapshot(client, 'work'),
  undo: async (client) => void (await client.snapshots.Remove({ snapshotter, key: 'work' })),
};

const removed: Work = {
  prepare: (client) => prepared.run(client),
  run: async (client) => void (await client.snapshots.Remove({ snapshotter, key: 'work' }).catch(ignore(isNotFound))),
  done: async (client) => !(await isSnapshot(client, 'work')),
  undo: async () => undefined,
};

async function committedWhole(client: Client): Promise<boolean> {
  if (!(await isSnapshot(client, 'done'))) return false;
  const { size } = await client.snapshots.Usage({ snapshotter, key: 'done' });
  if (Number(size) < FILE.length) throw new Error('a committed snapshot without its file');
  return true;
}

const removeCommitted = async (client: Client): Promise<void> =>
  void (await client.snapshots.Remove({ snapshotter, key: 'done' }));

const committed: Work = {
  async prepare(client) {
    const { mounts } = await client.snapshots.Prepare({ snapshotter, key: 'making', labels: ROOTED });
    writeFileSync(path.join(mounts[0]?.source ?? '', 'file'), FILE);
  },
  async run(client) {
    if (await isSnapshot(client, 'done')) return;
    await client.snapshots.Commit({ snapshotter, key: 'making', name: 'done', labels: ROOTED });
  },
  done: committedWhole,
  undo: removeCommitted,
};

/** A layer, unpacked and committed; `seen` changes the mounts that it is unpacked through. */
const unpacked = (seen: (mounts: Mount[]) => Mount[]): Work => ({
  async run(client) {
    if (await isSnapshot(client, 'done')) return;
    const layer = makeLayer([{ name: 'file', content: FILE }]);
    await withLease(client, async (leased) => {
      await putBlob(leased, layer.bytes);
      await leased.snapshots.Prepare({ snapshotter, key: 'extract' }).catch(ignore(isAlreadyExists));
      const { mounts } = await leased.snapshots.Mounts({ snapshotter, key: 'extract' });
      await leased.diff.Apply({ diff: descriptor(layer.descriptor), mounts: seen(mounts) });
      await leased.snapshots.Commit({ snapshotter, key: 'extract', name: 'done', labels: ROOTED });
    });
  },
  done: committedWhole,
  undo: removeCommitted,
});

/** An option that davitd does not know by itself, so that it has to mount. */
const mounted = (mounts: Mount[]): Mount[] =>
  mounts.map((mount) => ({ ...mount, options: [...mount.options, 'noatime'] }));

const LABELED = { ...ROOTED, 'work/diff': 'yes' };
const diffs = async (client: Client): Promise<string[]> =>
  (await collect(client.content.List({ filters: ['labels."work/diff"==yes'] }))).flatMap(({ info }) =>
    info.map(({ digest }) => digest),
  );

const diff: Work = {
  prepare: (client) => committed.prepare?.(client) ?? Promise.resolve(),
  async run(client) {
    const { mounts: right } = await client.snapshots.Mounts({ snapshotter, key: 'making' });
    await client.diff.Diff({ left: [], right, labels: LABELED });
  },
  done: async (client) => (await diffs(client)).length > 0,
  async undo(client) {
    for (const digest of await diffs(client)) await client.content.Delete({ digest });
    await client.snapshots.Remove({ snapshotter, key: 'making' });
  },
};

/** Works with a container of the image: its id is always the same. */
export function taskWorks(image: TestImage): { readonly started: Work; readonly deleted: Work; readonly kept: Work } {
  const id = 'work';
  const hasTask = (client: Client): Promise<boolean> => isThere(client.tasks.Get({ container_id: id }));
  const make = async (client: Client, ...args: string[]): Promise<void> =>
    void (await createContainer(client, image, args, {}, id));
  async function start(client: Client): Promise<void> {
    await createTask(client, id);
    await client.tasks.Start({ container_id: id });
  }
  async function undo(client: Client): Promise<void> {
    await removeTask(client, id);
    await client.containers.Delete({ id });
    await client.snapshots.Remove({ snapshotter, key: id });
  }
  const exits = ['sh', '-c', `exit ${EXIT}`];
  async function runToEnd(client: Client): Promise<void> {
    await removeTask(client, id);
    await start(client);
    const { exit_status } = await client.tasks.Wait({ container_id: id });
    if (exit_status !== EXIT) throw new Error(`exit status ${exit_status}`);
  }
  return {
    started: { prepare: (client) => make(client, ...exits), run: runToEnd, done: hasTask, undo },
    deleted: {
      async prepare(client) {
        await make(client, ...exits);
        await runToEnd(client);
      },
      run: async (client) => void (await client.tasks.Delete({ container_id: id }).catch(ignore(isNotFound))),
      done: async (client) => !(await hasTask(client)),
      undo,
    },
    kept: {
      async prepare(client) {
        await make(client, 'sleep', '100000');
        await start(client);
      },
      run: async (client) => void (await client.tasks.Kill({ container_id: id, signal: 0 })),
      done: hasTask,
      undo,
    },
  };
}

/** Mounts that the daemon keeps, needed by a lease. */
const activated: Work = {
  prepare: async (client) => void (await client.leases.Create({ id: 'mounts' }).catch(ignore(isAlreadyExists))),
  async run(client) {
    const mounts = [{ type: 'tmpfs', source: 'tmpfs', options: ['size=64k'] }];
    const leased = client.with({ lease: 'mounts' });
    await leased.mounts.Activate({ name: 'work', mounts, temporary: true }).catch(ignore(isAlreadyExists));
  },
  done: (client) => isThere(client.mounts.Info({ name: 'work' })),
  async undo(client) {
    await client.mounts.Deactivate({ name: 'work' });
    await client.leases.Delete({ id: 'mounts' });
  },
};

export const WORKS = {
  activated,
  blob,
  lease,
  garbage,
  prepared,
  removed,
  committed,
  unpacked: unpacked((mounts) => mounts),
  unpackedMounted: unpacked(mounted),
  diff,
};
