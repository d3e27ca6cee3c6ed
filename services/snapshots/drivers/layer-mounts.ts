// Mounts of layers that are images. A layer is mounted, once, for as long as an active snapshot or a view is on top of
// it; images that nobody works with take no mounts.
//
//   hold() by the first user -> mounted -> release() by the last one -> unmounted
//
// overlayfs, and a bind mount, keep a layer for themselves from the moment they are mounted, so unmounting disturbs no
// container. An unmounted layer has no folder either: who mounts from a list that has expired gets an error and not
// an empty layer.
import { mkdir, rmdir } from 'node:fs/promises';
import path from 'node:path';
import { listMounts, mountAll, unmountAll } from '../../../native/addon/index.ts';
import { errnoCode } from '../../lib/errors.ts';

export interface LayerMounts {
  /** Where the layer is mounted, when it is. */
  folder(layer: string): string;
  /** Resolves when all `layers` are mounted; they stay so until `user` releases them. Again is fine. */
  hold(user: string, layers: readonly string[]): Promise<void>;
  /** What `user` alone held is unmounted after a while: layers are unpacked one on top of the other. */
  release(user: string): void;
  /** Unmounts a layer whoever holds it: it is about to be removed. */
  drop(layer: string): Promise<void>;
  /** Unmounts those of `layers` that nobody holds, and removes their folders. */
  prune(layers: readonly string[]): Promise<void>;
  /** Unmounts everything. */
  close(): Promise<void>;
}

interface Layer {
  readonly users: Set<string>;
  mounted: boolean;
  /** The last change, which the next one waits for. */
  tail: Promise<void>;
}

/** How long, in milliseconds, a layer stays mounted for the next one who needs it. */
const LINGER = 1000;

/** `trees` holds a folder for each layer, and in it its image. Takes over what a killed daemon left mounted. */
export async function createLayerMounts(trees: string, image: (layer: string) => string): Promise<LayerMounts> {
  const layers = new Map<string, Layer>();
  const held = new Map<string, ReadonlySet<string>>();
  /** Linux before 6.12 mounts block devices only. */
  let loop = false;
  /** Layers that somebody has released lately. */
  const idle = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const folder = (id: string): string => path.join(trees, id, 'layer');

  async function mount(id: string): Promise<void> {
    const target = folder(id);
    await mkdir(target, { mode: 0o700 }).catch((error: unknown) => {
      if (errnoCode(error) !== 'EEXIST') throw error;
    });
    const spec = (options: readonly string[]) => [{ type: 'erofs', source: image(id), options: ['ro', ...options] }];
    try {
      if (!loop) return await mountAll(spec([]), target);
    } catch (error) {
      if (errnoCode(error) !== 'ENOTBLK') throw error;
      loop = true;
    }
    await mountAll(spec(['loop']), target);
  }

  /** Nobody may be kept from unmounting: who still reads in it keeps what is open. */
  async function unmount(id: string): Promise<void> {
    await unmountAll(folder(id), { detach: true });
    await rmdir(folder(id)).catch((error: unknown) => {
      if (errnoCode(error) !== 'ENOENT') throw error;
    });
  }

  function layerOf(id: string): Layer {
    let layer = layers.get(id);
    if (layer === undefined) {
      layer = { users: new Set(), mounted: false, tail: Promise.resolve() };
      layers.set(id, layer);
    }
    return layer;
  }

  /** Does `change` to a layer when those before it are done. */
  function inTurn(id: string, change: (layer: Layer) => Promise<void>): Promise<void> {
    const layer = layerOf(id);
    const turn = (): Promise<void> => change(layer);
    layer.tail = layer.tail.then(turn, turn);
    return layer.tail;
  }

  /** Mounts or unmounts a layer, as its users want it then. */
  function settle(id: string): Promise<void> {
    return inTurn(id, async (layer) => {
      const wanted = layer.users.size > 0;
      if (wanted === layer.mounted) return;
      await (wanted ? mount(id) : unmount(id));
      layer.mounted = wanted;
    });
  }

  const settleAll = async (ids: Iterable<string>): Promise<void> => {
    await Promise.all([...ids].map(settle));
  };

  function release(user: string): void {
    for (const id of held.get(user) ?? []) {
      layerOf(id).users.delete(user);
      idle.add(id);
    }
    held.delete(user);
    if (idle.size === 0) return;
    timer ??= setTimeout(() => {
      timer = undefined;
      const ids = [...idle];
      idle.clear();
      // What stays mounted is tried again by the next release, by drop() and by close().
      settleAll(ids).catch(() => undefined);
    }, LINGER).unref();
  }

  async function drop(id: string): Promise<void> {
    layerOf(id).users.clear();
    await settle(id);
    if (layers.get(id)?.users.size === 0) layers.delete(id);
  }

  for (const { target } of await listMounts()) {
    const id = path.basename(path.dirname(target));
    if (target === folder(id)) layerOf(id).mounted = true;
  }

  return {
    folder,
    async hold(user, ids) {
      held.set(user, new Set(ids));
      for (const id of ids) layerOf(id).users.add(user);
      try {
        await settleAll(ids);
      } catch (error) {
        release(user);
        throw error;
      }
    },
    release,
    drop,
    async prune(ids) {
      const change = (id: string) => async (layer: Layer) => {
        if (layer.users.size > 0) return;
        await unmount(id);
        layer.mounted = false;
      };
      await Promise.all(ids.map((id) => inTurn(id, change(id))));
    },
    async close() {
      clearTimeout(timer);
      held.clear();
      for (const layer of layers.values()) layer.users.clear();
      await settleAll([...layers.keys()]);
    },
  };
}
