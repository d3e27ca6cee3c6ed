import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import type { Content } from '../content/api.ts';
import type { Diffs } from '../diff/api.ts';
import { NO_LABELS } from '../lib/labels.ts';
import { createLimit } from '../lib/limit.ts';
import { createLogger } from '../lib/log.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import type { Snapshotter } from '../snapshots/api.ts';
import { native, overlay, start } from '../snapshots/testing/start.ts';
import { createJobs } from './jobs.ts';
import { createUnpacker } from './unpack.ts';

const log = createLogger({ level: 'panic', format: 'text', stream: process.stderr });
const never = new AbortController().signal;
const sha = (text: string): string => `sha256:${createHash('sha256').update(text).digest('hex')}`;
const layers = ['a', 'b', 'c'].map((name) => ({ mediaType: 'layer', digest: sha(name), size: 1 }));
const diffIds = layers.map(({ digest }) => sha(digest));

/** Unpacks three layers; the first one takes longest. `fits`: what comes of those applied alone; null: they cannot be. */
async function unpackWith(subject: Snapshotter, fits: boolean | null = true) {
  const order: string[] = [];
  const pause = (digest: string): Promise<void> =>
    new Promise((resolve) => setTimeout(resolve, digest === layers[0]?.digest ? 40 : 1));
  const apply = async (how: string, digest: string) => {
    order.push(`${how} ${layers.findIndex((each) => each.digest === digest)}`);
    await pause(digest);
    return { mediaType: 'layer', digest: sha(digest), size: 1, usage: undefined };
  };
  const diffs: Diffs = {
    apply: (_namespace, { digest }) => apply('apply', digest),
    async applyLoose(_namespace, { digest }) {
      const applied = await apply('loose', digest);
      return fits === null ? undefined : { ...applied, settle: () => Promise.resolve(fits) };
    },
    compare: () => Promise.reject(new Error('not asked for')),
  };
  const content = {
    info: (_namespace: string, digest: string) => ({ digest, labels: NO_LABELS }),
    update: () => Promise.resolve(),
  } as unknown as Content;
  const snapshots = { names: [], get: () => subject };
  const unpack = createUnpacker({ content, diffs, snapshots, jobs: createJobs(), limit: createLimit(2), log });
  const job = (namespace: string, ids: readonly string[]) => ({
    scope: { namespace, lease: undefined },
    manifest: { config: { mediaType: 'config', digest: sha('config'), size: 1 }, layers },
    config: { platform: { os: 'linux', architecture: 'amd64', variant: '' }, diffIds: ids },
    snapshotter: 'x',
    arrived: () => Promise.resolve(),
    progress: () => undefined,
  });
  return { order, unpack: (namespace: string, ids = diffIds) => unpack(job(namespace, ids), never) };
}

describe('unpacking', () => {
  it('applies layers side by side, and only once for two namespaces', async () => {
    await using folder = await temporaryFolder();
    const { subject, trees, stop } = await start(folder.path, overlay);
    const { order, unpack } = await unpackWith(subject);
    await Promise.all([unpack('one'), unpack('two')]);
    await unpack('three');
    assert.deepEqual(order.toSorted(), ['apply 0', 'loose 1', 'loose 2']);
    assert.equal((await trees()).length, 3);
    assert.deepEqual(
      ['one', 'two', 'three'].map((namespace) => subject.list(namespace, []).length),
      [3, 3, 3],
    );
    await stop();
  });

  for (const [what, fits] of [
    ['depends on that', false],
    ['cannot be applied without', null],
  ] as const) {
    it(`applies again on its parent what ${what}`, async () => {
      await using folder = await temporaryFolder();
      const { subject, trees, stop } = await start(folder.path, overlay);
      const { order, unpack } = await unpackWith(subject, fits);
      await unpack('one');
      assert.deepEqual(order.slice(0, 3).toSorted(), ['apply 0', 'loose 1', 'loose 2']);
      assert.deepEqual(order.slice(3), ['apply 1', 'apply 2']);
      await subject.cleanup();
      assert.equal((await trees()).length, 3);
      await stop();
    });
  }

  for (const [what, chains] of [
    ['a snapshotter that cannot rebase', true],
    ['a foreign snapshotter', false],
  ] as const) {
    it(`applies one after the other for ${what}`, async () => {
      await using folder = await temporaryFolder();
      const { subject, stop } = await start(folder.path, native);
      const { chains: own, ...foreign } = subject;
      assert(own !== undefined);
      const { order, unpack } = await unpackWith(chains ? subject : foreign);
      await Promise.all([unpack('one'), unpack('one')]);
      assert.deepEqual(order, ['apply 0', 'apply 1', 'apply 2']);
      assert.deepEqual(
        subject.list('one', []).map(({ kind }) => kind),
        ['committed', 'committed', 'committed'],
      );
      await stop();
    });
  }

  it('leaves nothing of layers that are not what the image says', async () => {
    await using folder = await temporaryFolder();
    const { subject, trees, stop } = await start(folder.path, overlay);
    const { unpack } = await unpackWith(subject);
    await assert.rejects(unpack('one', [...diffIds.slice(0, 2), sha('other')]), /the image says .*failed precondition/);
    await subject.cleanup();
    assert.equal((await trees()).length, subject.list('one', []).length);
    await stop();
  });
});
