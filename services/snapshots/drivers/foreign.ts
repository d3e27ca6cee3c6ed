// The driver of a foreign snapshotter: a program that speaks containerd's snapshots service (a proxy plugin).
//
// As with any driver names, parents and labels are in our metadata; the other side has keys of its own for the trees:
//
//   davit/<id>/active      while it is written, or a view
//   davit/<id>/committed   when it is committed
//   anything               of a tree that it had, or made itself (layers that are fetched when they are read): its id
//                          here is `=` and the name, encoded; it is ours to remove when it carries our label
//
// All in one namespace. Where the other side collects garbage itself (another containerd), the label
// `containerd.io/gc.root` keeps its hands off; what becomes of the trees is decided here.
import { randomBytes } from 'node:crypto';
import { isAlreadyExists, isNotFound, kindOf, notFound } from '../../lib/errors.ts';
import { NO_LABELS, labelsFromWire, labelsToWire, type Labels } from '../../lib/labels.ts';
import { mountFromWire, type Mount } from '../../lib/mount.ts';
import type { Info, SnapshotsService } from '../../../proto/gen/containerd.services.snapshots.v1.ts';
import type { Remote } from '../../grpc/client.ts';
import type { Driver, ForeignDriver, Tree } from '../api.ts';
import { TARGET_LABEL } from '../store.ts';

export interface ForeignOptions {
  readonly name: string;
  /** Its name at the other end. */
  readonly remoteName: string;
  readonly capabilities: readonly string[];
  readonly calls: Remote<SnapshotsService>;
}

const NAMESPACE = { namespace: 'davit' };
const PREFIX = 'davit/';
const COMMITTED = 3;
const OURS = 'io.davit.snapshot';

export function createForeignDriver({ name, remoteName, capabilities, calls }: ForeignOptions): Driver {
  const snapshotter = remoteName;
  const begun = Date.now().toString(36) + randomBytes(2).toString('hex');
  let count = 0;

  const keptLabels = (labels: Labels): Record<string, string> =>
    labelsToWire(new Map([...labels, [OURS, name], ['containerd.io/gc.root', new Date().toISOString()]]));

  async function list(): Promise<Info[]> {
    return (await calls.List({ snapshotter }, NAMESPACE)).flatMap(({ info }) => info);
  }

  /** The committed tree that the other side has for the target. */
  async function existing(target: string, parent: string, tree: Tree) {
    const all = await list();
    const found = all.find(
      (info) => info.kind === COMMITTED && info.labels[TARGET_LABEL] === target && info.parent === parent,
    );
    if (found === undefined) throw notFound(`snapshotter ${name}: target snapshot "${target}" of tree ${tree.id}`);
    return { id: idOf(found.name), labels: labelsFromWire(found.labels) };
  }

  async function mounts(tree: Tree): Promise<readonly Mount[]> {
    return (await calls.Mounts({ snapshotter, key: activeKey(tree.id) }, NAMESPACE)).mounts.map(mountFromWire);
  }

  const foreign: ForeignDriver = {
    newId: () => `${begun}-${count++}`,
    mounts,
    async create(tree) {
      const parent = tree.parents[0] === undefined ? '' : committedName(tree.parents[0]);
      const request = { snapshotter, key: activeKey(tree.id), parent, labels: keptLabels(tree.labels) };
      const target = tree.labels.get(TARGET_LABEL);
      try {
        await (tree.kind === 'view' ? calls.View(request, NAMESPACE) : calls.Prepare(request, NAMESPACE));
        return undefined;
      } catch (error) {
        if (target === undefined || !isAlreadyExists(error)) throw error;
        return await existing(target, parent, tree);
      }
    },
    async tidy() {
      try {
        await calls.Cleanup({ snapshotter }, NAMESPACE);
      } catch (error) {
        if (kindOf(error) !== 'not implemented') throw error;
      }
    },
  };

  return {
    name,
    root: '',
    capabilities,
    foreign,

    async create(tree) {
      await foreign.create(tree);
    },

    mounts() {
      throw new Error(`the mounts of snapshotter ${name} are to be asked for`);
    },

    async usage(tree) {
      const key = tree.kind === 'committed' ? committedName(tree.id) : activeKey(tree.id);
      const { size, inodes } = await calls.Usage({ snapshotter, key }, NAMESPACE);
      return { size: Number(size), inodes: Number(inodes) };
    },

    async commit(tree) {
      const key = activeKey(tree.id);
      const committed = committedName(tree.id);
      const labels = keptLabels(tree.labels);
      let parent = '';
      if (capabilities.includes('rebase') && tree.parents[0] !== undefined) {
        // Named only where it is to change.
        const before = await calls.Stat({ snapshotter, key }, NAMESPACE);
        if (before.info?.parent === '') parent = committedName(tree.parents[0]);
      }
      try {
        await calls.Commit({ snapshotter, key, name: committed, labels, parent }, NAMESPACE);
      } catch (error) {
        // A daemon that was killed after this may have committed it already.
        if (!isNotFound(error) && !isAlreadyExists(error)) throw error;
        const { info } = await calls.Stat({ snapshotter, key: committed }, NAMESPACE);
        if (info?.kind !== COMMITTED) throw error;
      }
    },

    async remove(id) {
      const keys = id.startsWith('=') ? [committedName(id)] : [committedName(id), activeKey(id)];
      for (const key of keys) {
        await calls.Remove({ snapshotter, key }, NAMESPACE).catch((error: unknown) => {
          if (!isNotFound(error)) throw error;
        });
      }
    },

    // The other side answers for what it has acknowledged.
    sync: () => Promise.resolve(),

    async trees() {
      const all = await list();
      const ours = all.filter(({ name: key, labels }) => key.startsWith(PREFIX) || labels[OURS] === name);
      // A parent can only be removed after its children.
      return [...new Set(childrenFirst(ours).map(({ name: key }) => idOf(key)))];
    },

    describe: () => NO_LABELS,
  };
}

function activeKey(id: string): string {
  return `${PREFIX}${id}/active`;
}

function committedName(id: string): string {
  return id.startsWith('=') ? Buffer.from(id.slice(1), 'base64url').toString() : `${PREFIX}${id}/committed`;
}

function childrenFirst(infos: readonly Info[]): Info[] {
  const parents = new Map(infos.map(({ name, parent }) => [name, parent]));
  const depth = (name: string): number => {
    let steps = 0;
    for (let at = parents.get(name); at !== undefined && steps <= infos.length; at = parents.get(at)) steps++;
    return steps;
  };
  return infos.toSorted((a, b) => depth(b.name) - depth(a.name));
}

/** Of a tree under a key of ours, or a name that the other side gave it. */
function idOf(key: string): string {
  const own = /^davit\/([^/]+)\/(?:active|committed)$/.exec(key)?.[1];
  return own ?? `=${Buffer.from(key).toString('base64url')}`;
}
