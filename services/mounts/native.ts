// Mounting through the native addon.
import { attachLoop, detachLoop, mountAll, unmountAll } from '../../native/addon/index.ts';
import { Failure } from '../lib/errors.ts';
import type { DeviceCalls } from './perform.ts';

export const nativeMounts: DeviceCalls = {
  async mount(mounts, target) {
    const nested = mounts.find((mount) => mount.target !== '');
    if (nested !== undefined) {
      throw new Failure(
        'not implemented',
        `mount of ${nested.source} below its root, on ${nested.target}: not implemented`,
      );
    }
    try {
      await mountAll(mounts, target);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new Failure('unknown', `failed to mount: ${reason}`, { cause: error });
    }
  },
  unmount: (target) => unmountAll(target),
  attachLoop: (file, link, readOnly) => attachLoop(file, link, { readOnly }),
  detachLoop,
};
