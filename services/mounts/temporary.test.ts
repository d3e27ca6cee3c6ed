import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createLogger } from '../lib/log.ts';
import type { Mount } from '../lib/mount.ts';
import { createRecovery } from '../lib/recovery.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { nativeMounts as calls } from './native.ts';
import { createTemporaryMounts, type MountCalls } from './temporary.ts';

const log = createLogger({ level: 'panic', format: 'text', stream: process.stderr });
const recovery = createRecovery(log);

async function mounted(): Promise<string[]> {
  return (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((line) => line.split(' ')[4] ?? '');
}

const tmpfs: Mount = { type: 'tmpfs', source: 'tmpfs', target: '', options: ['size=64k'] };

describe('temporary mounts', () => {
  it('are there during the call only', async () => {
    await using folder = await temporaryFolder();
    const mounts = createTemporaryMounts({ folder: folder.path, calls, log, recovery });
    const seen = await mounts.withMounted([tmpfs], async (root) => {
      await writeFile(path.join(root, 'file'), '');
      assert((await mounted()).includes(root));
      return root;
    });
    assert(!(await mounted()).includes(seen));
    assert.deepEqual(await readdir(folder.path), []);
  });

  it('are undone when the work fails, whose failure is what the caller sees', async () => {
    await using folder = await temporaryFolder();
    const failing: MountCalls = {
      mount: (list, target) => calls.mount(list, target),
      async unmount(target) {
        await calls.unmount(target);
        throw new Error('second');
      },
    };
    const work = (root: string): Promise<void> => {
      throw new Error(`first in ${root}`);
    };
    await assert.rejects(
      createTemporaryMounts({ folder: folder.path, calls: failing, log, recovery }).withMounted([tmpfs], work),
      /first/,
    );
    await assert.rejects(
      createTemporaryMounts({ folder: folder.path, calls, log, recovery }).withMounted([tmpfs], work),
      /first/,
    );
    assert(!(await mounted()).some((target) => target.startsWith(folder.path)));
  });

  it('tell of a mount that fails, and leave nothing', async () => {
    await using folder = await temporaryFolder();
    const mounts = createTemporaryMounts({ folder: folder.path, calls, log, recovery });
    const wrong: Mount = { type: 'nosuchfs', source: 'x', target: '', options: ['ro'] };
    await assert.rejects(
      mounts.withMounted([wrong], () => Promise.resolve()),
      /nosuchfs/,
    );
    assert.deepEqual(await readdir(folder.path), []);
  });

  it('are an empty folder when there are none', async () => {
    await using folder = await temporaryFolder();
    const mounts = createTemporaryMounts({ folder: folder.path, calls, log, recovery });
    await mounts.withMounted([], (root) => mkdir(path.join(root, 'deep/er'), { recursive: true }));
    assert.deepEqual(await readdir(folder.path), []);
  });

  it('of a killed daemon are undone by the next', async () => {
    await using folder = await temporaryFolder();
    const left = path.join(folder.path, 'mount-left');
    await mkdir(path.join(folder.path, 'mount-files/sub'), { recursive: true });
    await mkdir(left);
    await calls.mount([tmpfs], left);
    await calls.mount([tmpfs], left);
    await createTemporaryMounts({ folder: folder.path, calls, log, recovery }).recover();
    assert(!(await mounted()).includes(left));
    assert.deepEqual(await readdir(folder.path), []);
  });
});
