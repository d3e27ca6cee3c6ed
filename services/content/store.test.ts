import assert from 'node:assert/strict';
import { appendFile, readdir, readlink, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import fc from 'fast-check';
import { describe, it } from 'mocha';
import { digestOf } from '../lib/digest.ts';
import { smallDisk, temporaryFolder } from '../lib/testing/folder.ts';
import { fails } from '../lib/testing/failures.ts';
import { openSlices, scope, type Slices } from '../metadata/testing/slices.ts';
import type { CommitOptions, Content, Info } from './api.ts';

const HELLO = Buffer.from('hello world');
const DIGEST = digestOf(HELLO);

async function put(
  content: Content,
  namespace: string,
  ref: string,
  bytes: Buffer,
  options: CommitOptions = {},
): Promise<Info> {
  await using writer = await content.writer(scope(namespace), { ref });
  await writer.write(bytes);
  return await writer.commit(options);
}

async function read(content: Content, namespace: string, digest: string): Promise<string> {
  await using blob = await content.open(namespace, digest);
  return (await blob.read(0, blob.size)).toString();
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(path.join(folder, 'content'), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

async function openDescriptors(folder: string): Promise<number> {
  let count = 0;
  for (const fd of await readdir('/proc/self/fd')) {
    const target = await readlink(`/proc/self/fd/${fd}`).catch(() => '');
    if (target.startsWith(`${folder}/`)) count++;
  }
  return count;
}

describe('content store', () => {
  let folder: string;

  const test = (name: string, work: (slices: Slices) => Promise<void>): void => {
    it(name, async () => {
      await using temporary = await temporaryFolder();
      folder = temporary.path;
      {
        await using slices = await openSlices(folder);
        await work(slices);
      }
      assert.equal(await openDescriptors(folder), 0, 'descriptors left open');
    });
  };

  test('keeps what was committed, read-only, and says so', async ({ content, published }) => {
    const info = await put(content, 'a', 'r', HELLO, {
      size: 11,
      expected: DIGEST,
      labels: new Map([['__proto__', 'x']]),
    });
    assert.equal(info.digest, DIGEST);
    assert.equal(await read(content, 'a', DIGEST), 'hello world');
    assert.equal(content.info('a', DIGEST).labels.get('__proto__'), 'x');
    assert.equal((await stat(content.path('a', DIGEST))).mode & 0o777, 0o444);
    assert.deepEqual(published, [`a /content/create ${DIGEST}`]);
    assert.deepEqual(await filesOf(folder), [DIGEST.slice(7)]);
    await fails(() => content.info('b', DIGEST), 'not found', `content digest ${DIGEST}: not found`);
    await fails(() => content.open('b', DIGEST), 'not found');
  });

  test('reads any range', async ({ content }) => {
    const bytes = Buffer.from(Array.from({ length: 3000 }, (_, at) => at % 251));
    const { digest } = await put(content, 'a', 'r', bytes);
    await using blob = await content.open('a', digest);
    await fc.assert(
      fc.asyncProperty(fc.nat(3500), fc.nat(3500), async (position, length) => {
        assert.deepEqual(await blob.read(position, length), bytes.subarray(position, position + length));
      }),
    );
  });

  test('checks size and digest, and keeps the ingest when they differ', async ({ content }) => {
    await fails(
      () => put(content, 'a', 'r', HELLO, { size: 12 }),
      'failed precondition',
      '"r" failed size validation: 11 != 12: failed precondition',
    );
    const other = digestOf('other');
    await fails(
      () => put(content, 'a', 'r2', HELLO, { expected: other }),
      'failed precondition',
      `unexpected commit digest ${DIGEST}, expected ${other}: failed precondition`,
    );
    await fails(
      () => put(content, 'a', 'r3', HELLO, { labels: new Map([['k', 'x'.repeat(4096)]]) }),
      'invalid argument',
      /^info.Labels: label key/,
    );
    assert.deepEqual(
      (await content.statuses('a', [])).map(({ ref, offset }) => [ref, offset]),
      [
        ['r', 11],
        ['r2', 11],
        ['r3', 11],
      ],
    );
    await using writer = await content.writer(scope('a'), { ref: 'r' });
    assert.equal((await writer.commit({ size: 11, expected: DIGEST })).size, 11);
  });

  test('resumes where a writer stopped, and truncates', async ({ content }) => {
    {
      await using writer = await content.writer(scope('a'), { ref: 'r', total: 11 });
      await writer.write(HELLO.subarray(0, 5));
    }
    {
      await using writer = await content.writer(scope('a'), { ref: 'r' });
      assert.equal(writer.status.offset, 5);
      assert.equal(writer.status.total, 11);
      assert.equal(writer.digest(), digestOf('hello'));
      await writer.write(HELLO.subarray(5));
      assert.equal(writer.digest(), DIGEST);
      await writer.truncate();
      assert.equal(writer.status.offset, 0);
      await writer.write(Buffer.from('abc'));
      assert.equal((await writer.commit({})).digest, digestOf('abc'));
    }
    await fails(() => content.status('a', 'r'), 'not found', 'reference r: not found');
  });

  test('allows one writer for a ref, in each namespace', async ({ content }) => {
    const first = await content.writer(scope('a'), { ref: 'r' });
    await fails(() => content.writer(scope('a'), { ref: 'r' }), 'unavailable', /^ref r locked for .*: unavailable$/);
    await using other = await content.writer(scope('b'), { ref: 'r' });
    assert.equal(other.status.offset, 0);
    await first.close();
    await first.close();
    await using second = await content.writer(scope('a'), { ref: 'r' });
    assert.equal(second.status.offset, 0);
  });

  test('computes the expected algorithm, announced or not', async ({ content }) => {
    const digest = digestOf(HELLO, 'sha512');
    await using writer = await content.writer(scope('a'), { ref: 'r', expected: digest });
    await writer.write(HELLO);
    assert.equal(writer.digest(), digest);
    assert.equal((await writer.commit({ expected: digest })).digest, digest);
    const late = digestOf('late', 'sha384');
    assert.equal((await put(content, 'a', 'l', Buffer.from('late'), { expected: late })).digest, late);
    assert.equal(await read(content, 'a', digest), 'hello world');
  });

  test('knows a blob that is there already', async ({ content, leases }) => {
    await put(content, 'a', 'r', HELLO);
    await leases.create('a', 'l', new Map());
    await fails(
      () => content.writer(scope('a', 'l'), { ref: 'r', expected: DIGEST }),
      'already exists',
      `content ${DIGEST}: already exists`,
    );
    assert.deepEqual(leases.resources('a', 'l'), [{ type: 'content', id: DIGEST }]);
    await fails(() => put(content, 'a', 'r2', HELLO), 'already exists');
    await fails(() => content.status('a', 'r2'), 'not found');
    assert.deepEqual(await filesOf(folder), [DIGEST.slice(7)]);
  });

  test('aborts, also under a writer', async ({ content }) => {
    const writer = await content.writer(scope('a'), { ref: 'r' });
    await writer.write(HELLO);
    await content.abort(scope('a'), 'r');
    await fails(() => content.abort(scope('a'), 'r'), 'not found', 'reference r: not found');
    await using next = await content.writer(scope('a'), { ref: 'r' });
    assert.equal(next.status.offset, 0);
    await fails(() => writer.write(HELLO), 'aborted');
    await fails(() => writer.commit({}), 'aborted');
    await fails(() => content.info('a', DIGEST), 'not found');
  });

  test('takes what native code appends', async ({ content }) => {
    await using writer = await content.writer(scope('a'), { ref: 'r' });
    await writer.write(HELLO.subarray(0, 5));
    await appendFile(writer.file, HELLO.subarray(5));
    writer.appended(11, DIGEST);
    assert.equal(writer.status.offset, 11);
    assert.equal((await writer.commit({ expected: DIGEST })).size, 11);
    await using mixed = await content.writer(scope('a'), { ref: 'm' });
    await appendFile(mixed.file, 'abc');
    mixed.appended(3, digestOf('abc'));
    await mixed.write(Buffer.from('def'));
    assert.equal((await mixed.commit({})).digest, digestOf('abcdef'));
  });

  test('changes labels as the mask says', async ({ content }) => {
    await put(content, 'a', 'r', HELLO, { labels: new Map([['a', '1']]) });
    const masked = await content.update('a', DIGEST, new Map([['x.y', '2']]), ['labels.x.y', 'labels.a']);
    assert.deepEqual([...masked.labels], [['x.y', '2']]);
    assert.deepEqual([...(await content.update('a', DIGEST, new Map([['z', '3']]), [])).labels], [['z', '3']]);
    await fails(
      () => content.update('a', DIGEST, new Map(), ['size']),
      'invalid argument',
      `cannot update "size" field on content info "${DIGEST}": invalid argument`,
    );
  });

  test('filters blobs and ingests', async ({ content }) => {
    await put(content, 'a', 'r', HELLO, { labels: new Map([['k', 'v']]) });
    await put(content, 'a', 'r', Buffer.from('x'));
    assert.equal(content.list('a', [`digest==${DIGEST}`]).length, 1);
    assert.equal(content.list('a', ['labels.k==v']).length, 1);
    assert.equal(content.list('a', []).length, 2);
    await (await content.writer(scope('a'), { ref: 'one' })).close();
    await (await content.writer(scope('a'), { ref: 'two' })).close();
    assert.deepEqual(
      (await content.statuses('a', ['ref~=^t'])).map(({ ref }) => ref),
      ['two'],
    );
  });

  test('refuses an unknown lease and an empty ref', async ({ content }) => {
    await fails(
      () => content.writer(scope('a', 'no'), { ref: 'r' }),
      'not found',
      'lease "no" does not exist: not found',
    );
    await fails(() => content.status('a', 'r'), 'not found');
    await fails(() => content.writer(scope('a'), { ref: '' }), 'invalid argument');
  });

  test('is the bytes that were written, in whatever pieces', async ({ content }) => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.uint8Array({ maxLength: 50 }), fc.constantFrom('write', 'reopen', 'truncate'))),
        async (steps) => {
          const ref = `r${run++}`;
          let model = Buffer.alloc(0);
          let writer = await content.writer(scope('a'), { ref });
          for (const [bytes, step] of steps) {
            if (step === 'write') {
              await writer.write(bytes);
              model = Buffer.concat([model, bytes]);
            } else if (step === 'truncate') {
              await writer.truncate();
              model = Buffer.alloc(0);
            } else {
              await writer.close();
              writer = await content.writer(scope('a'), { ref });
            }
            assert.equal(writer.status.offset, model.length);
            assert.equal(writer.digest(), digestOf(model));
          }
          if (content.has('a', digestOf(model))) await writer.close();
          else assert.equal((await writer.commit({})).digest, digestOf(model));
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe('content of several namespaces', () => {
  it('is shared with who knows its digest', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { content, gc } = slices;
    await put(content, 'a', 'r', HELLO, { labels: new Map([['containerd.io/gc.root', 'now']]) });
    {
      await using writer = await content.writer(scope('b'), { ref: 'r', expected: DIGEST, total: 11 });
      assert.equal(writer.status.offset, 11);
      assert.equal(writer.digest(), DIGEST);
      assert.ok(!content.has('b', DIGEST));
      // The bytes stay while somebody is about to take them.
      await content.delete(scope('a'), DIGEST);
      await gc.collect();
      await writer.commit({ size: 11, expected: DIGEST, labels: new Map([['containerd.io/gc.root', 'now']]) });
    }
    await gc.collect();
    assert.equal(await read(content, 'b', DIGEST), 'hello world');
    await content.delete(scope('b'), DIGEST);
    await gc.collect();
    assert.deepEqual(await filesOf(folder.path), []);
  });

  it('gets bytes of its own when it is written to', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { content } = slices;
    await put(content, 'a', 'r', HELLO);
    await using appending = await content.writer(scope('b'), { ref: 'r', expected: DIGEST });
    await appending.write(Buffer.from('!'));
    assert.equal((await appending.commit({})).digest, digestOf('hello world!'));
    await using beginning = await content.writer(scope('b'), { ref: 'r', expected: DIGEST });
    await beginning.truncate();
    await beginning.write(HELLO);
    assert.equal((await beginning.commit({ expected: DIGEST })).digest, DIGEST);
    await fails(() => put(content, 'b', 'x', HELLO, { expected: digestOf('') }), 'failed precondition');
  });

  it('is not shared when the sizes differ, or by the policy `isolated` unless the namespace shares', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path, { sharing: 'isolated' });
    const { content, namespaces } = slices;
    await put(content, 'a', 'r', HELLO);
    const offset = async (total: number): Promise<number> => {
      await using writer = await content.writer(scope('b'), { ref: `r${total}`, expected: DIGEST, total });
      return writer.status.offset;
    };
    assert.equal(await offset(11), 0);
    await namespaces.update('a', new Map([['containerd.io/namespace.shareable', 'true']]), []);
    assert.equal(await offset(11), 11);
    assert.equal(await offset(12), 0);
  });
});

describe('content after a restart', () => {
  it('has blobs and ingests, and what a crash left is removed', async () => {
    await using folder = await temporaryFolder();
    const blobs = path.join(folder.path, 'content', 'blobs', 'sha256');
    {
      await using slices = await openSlices(folder.path);
      await put(slices.content, 'a', 'r', HELLO, { labels: new Map([['containerd.io/gc.root', 'now']]) });
      await using writer = await slices.content.writer(scope('a'), { ref: 'half', total: 11 });
      await writer.write(HELLO.subarray(0, 6));
    }
    await writeFile(path.join(blobs, 'a'.repeat(64)), 'renamed, but never recorded');
    await writeFile(path.join(folder.path, 'content', 'ingest', 'unknown'), 'no record');
    await using slices = await openSlices(folder.path);
    const { content, gc } = slices;
    assert.equal(await read(content, 'a', DIGEST), 'hello world');
    const status = await content.status('a', 'half');
    assert.deepEqual([status.offset, status.total], [6, 11]);
    await gc.collect();
    assert.deepEqual((await filesOf(folder.path)).length, 2);
    await using writer = await content.writer(scope('a'), { ref: 'half' });
    assert.equal(writer.digest(), digestOf('hello '));
    await writer.write(Buffer.from('again'));
    assert.equal((await writer.commit({})).digest, digestOf('hello again'));
  });

  it('begins an ingest anew whose file is lost', async () => {
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path);
    const { content } = slices;
    const writer = await content.writer(scope('a'), { ref: 'r' });
    await writer.write(HELLO);
    await writer.close();
    await rm(writer.file);
    assert.equal((await content.status('a', 'r')).offset, 0);
    await using again = await content.writer(scope('a'), { ref: 'r' });
    assert.equal(again.status.offset, 0);
  });
});

describe('content on a full disk', () => {
  it('refuses the write, and goes on when there is room', async function () {
    this.timeout(20_000);
    await using disk = await smallDisk(1 << 20);
    if (disk === undefined) return this.skip();
    await using folder = await temporaryFolder();
    await using slices = await openSlices(folder.path, { content: disk.path });
    const { content } = slices;
    const big = Buffer.alloc(2 << 20, 1);
    {
      await using writer = await content.writer(scope('a'), { ref: 'big' });
      await fails(() => writer.write(big), 'resource exhausted', /no space left.*free some space: resource exhausted$/);
      await fails(() => writer.write(HELLO), 'resource exhausted');
      await fails(() => writer.commit({}), 'resource exhausted');
    }
    {
      await using writer = await content.writer(scope('a'), { ref: 'big' });
      assert.equal(writer.status.offset, 1 << 20);
      assert.equal(writer.digest(), digestOf(big.subarray(0, 1 << 20)));
    }
    await content.abort(scope('a'), 'big');
    assert.equal((await put(content, 'a', 'small', HELLO)).digest, DIGEST);
  });
});
