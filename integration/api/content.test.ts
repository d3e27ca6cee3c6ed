import { strict as assert } from 'node:assert';
import { describe, it } from 'mocha';
import type { BidiCall } from '../../client/calls.ts';
import type { Client } from '../../client/connect.ts';
import { isNotFound, isUnavailable } from '../../client/errors.ts';
import type { WriteContentRequest, WriteContentResponse } from '../../proto/gen/containerd.services.content.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import { collect, eventually, fails, present } from '../harness/expect.ts';
import { useDaemon } from '../harness/fixture.ts';
import { sha256 } from '../harness/image.ts';
import { getBlob, putBlob, WRITE } from '../harness/store.ts';

const KEEP = { 'containerd.io/gc.root': 'now' };

type Writer = BidiCall<WriteContentRequest, WriteContentResponse>;

async function ask(writer: Writer, message: Input<WriteContentRequest>): Promise<WriteContentResponse> {
  await writer.send(message);
  return present(await writer.receive(), 'answer');
}

/** Leaves an ingest as a client that vanishes does. */
async function leaveIngest(client: Client, ref: string, data: Buffer): Promise<void> {
  const writer = client.content.Write();
  await ask(writer, { action: WRITE.WRITE, ref, data });
  writer.cancel();
}

/** Goes on with an ingest as soon as its last writer is gone; gives the offset to go on at. */
async function takeOver(client: Client, ref: string): Promise<{ writer: Writer; offset: string }> {
  let taken: { writer: Writer; offset: string } | undefined;
  await eventually(`${ref} is free`, async () => {
    const writer = client.content.Write();
    try {
      const { offset } = await ask(writer, { action: WRITE.STAT, ref });
      taken = { writer, offset };
      return true;
    } catch (error) {
      writer.cancel();
      if (!isUnavailable(error)) throw error;
      return false;
    }
  });
  return present(taken);
}

/** Removes an ingest whose writer may still be leaving; one that is gone already is fine. */
async function abort(client: Client, ref: string): Promise<void> {
  await eventually(`${ref} is aborted`, () =>
    client.content.Abort({ ref }).then(
      () => false,
      (error: unknown) => isNotFound(error),
    ),
  );
}

describe('content', () => {
  const t = useDaemon();

  it('writes in parts and commits', async () => {
    const bytes = Buffer.from('in three parts');
    const writer = t.client.content.Write();
    const stat = await ask(writer, { action: WRITE.STAT, ref: 'parts', total: String(bytes.length) });
    assert.equal(stat.offset, '0');
    const first = await ask(writer, { action: WRITE.WRITE, ref: 'parts', data: bytes.subarray(0, 3) });
    assert.equal(first.offset, '3');
    assert.equal(first.action, WRITE.WRITE);
    const second = await ask(writer, { action: WRITE.WRITE, offset: '3', data: bytes.subarray(3) });
    assert.equal(second.offset, String(bytes.length));
    const status = present((await t.client.content.Status({ ref: 'parts' })).status);
    assert.deepEqual([status.ref, status.offset, status.total], ['parts', '14', '14']);
    const done = await ask(writer, {
      action: WRITE.COMMIT,
      offset: '14',
      expected: sha256(bytes),
      total: '14',
      labels: { ...KEEP, color: 'red' },
    });
    assert.equal(done.digest, sha256(bytes));
    assert.equal(done.action, WRITE.COMMIT);
    const info = present((await t.client.content.Info({ digest: sha256(bytes) })).info);
    assert.equal(info.size, '14');
    assert.deepEqual(info.labels, { ...KEEP, color: 'red' });
    await fails(t.client.content.Status({ ref: 'parts' }), 'not found');
    writer.close();
  });

  it('takes data with the commit', async () => {
    const bytes = Buffer.from('all at once');
    const writer = t.client.content.Write();
    const done = await ask(writer, { action: WRITE.COMMIT, ref: 'once', data: bytes, labels: KEEP });
    assert.equal(done.digest, sha256(bytes));
    writer.close();
    assert.deepEqual(await getBlob(t.client, sha256(bytes)), bytes);
  });

  it('resumes where a vanished client stopped', async () => {
    const bytes = Buffer.from('resumed after a while');
    await leaveIngest(t.client, 'resume', bytes.subarray(0, 8));
    const { writer, offset } = await takeOver(t.client, 'resume');
    assert.equal(offset, '8');
    const done = await ask(writer, {
      action: WRITE.COMMIT,
      offset: '8',
      data: bytes.subarray(8),
      expected: sha256(bytes),
      labels: KEEP,
    });
    assert.equal(done.digest, sha256(bytes));
    writer.close();
  });

  it('starts over when written at offset 0 again', async () => {
    const bytes = Buffer.from('second try');
    await leaveIngest(t.client, 'truncate', Buffer.from('first try, longer'));
    const { writer } = await takeOver(t.client, 'truncate');
    await ask(writer, { action: WRITE.WRITE, ref: 'truncate', offset: '0', data: bytes });
    const offset = String(bytes.length);
    const done = await ask(writer, { action: WRITE.COMMIT, offset, expected: sha256(bytes), labels: KEEP });
    assert.equal(done.digest, sha256(bytes));
    writer.close();
  });

  it('starts over when committed at offset 0 too', async () => {
    const bytes = Buffer.from('only this');
    await leaveIngest(t.client, 'truncate-commit', Buffer.from('not this'));
    const { writer } = await takeOver(t.client, 'truncate-commit');
    const done = await ask(writer, { action: WRITE.COMMIT, ref: 'truncate-commit', data: bytes, labels: KEEP });
    assert.equal(done.digest, sha256(bytes));
    writer.close();
  });

  it('refuses a gap', async () => {
    const writer = t.client.content.Write();
    await ask(writer, { action: WRITE.WRITE, ref: 'gap', data: Buffer.from('12345') });
    await fails(ask(writer, { action: WRITE.WRITE, offset: '7', data: Buffer.from('x') }), 'out of range');
    await abort(t.client, 'gap');
  });

  it('leaves what is written alone when an action is not known', async () => {
    const writer = t.client.content.Write();
    await ask(writer, { action: WRITE.WRITE, ref: 'unknown', data: Buffer.from('12345') });
    await ask(writer, { action: 7 });
    assert.equal((await ask(writer, { action: WRITE.STAT })).offset, '5');
    writer.cancel();
    await abort(t.client, 'unknown');
  });

  it('refuses a second writer while the first is there', async () => {
    const writer = t.client.content.Write();
    await ask(writer, { action: WRITE.WRITE, ref: 'locked', data: Buffer.from('mine') });
    await fails(ask(t.client.content.Write(), { action: WRITE.STAT, ref: 'locked' }), 'unavailable', /locked/);
    writer.cancel();
    await abort(t.client, 'locked');
  });

  it('refuses a first message without a reference', async () => {
    await fails(ask(t.client.content.Write(), { action: WRITE.STAT }), 'invalid argument');
  });

  it('refuses to commit other bytes than expected', async () => {
    const writer = t.client.content.Write();
    await ask(writer, { action: WRITE.WRITE, ref: 'wrong', data: Buffer.from('these') });
    const commit = { action: WRITE.COMMIT, offset: '5', expected: sha256(Buffer.from('those')) };
    await fails(ask(writer, commit), 'failed precondition', /digest/);
    await fails(t.client.content.Info({ digest: sha256(Buffer.from('these')) }), 'not found');
    const sized = t.client.content.Write();
    await fails(
      ask(sized, { action: WRITE.COMMIT, ref: 'sized', data: Buffer.from('four'), total: '3' }),
      'failed precondition',
      /size/,
    );
    for (const ref of ['wrong', 'sized']) await abort(t.client, ref);
  });

  it('tells that expected content is there already', async () => {
    const bytes = Buffer.from('already here');
    await putBlob(t.client, bytes, KEEP);
    const writer = t.client.content.Write();
    await fails(
      ask(writer, { action: WRITE.STAT, ref: 'again', expected: sha256(bytes), total: String(bytes.length) }),
      'already exists',
    );
    await fails(t.client.content.Status({ ref: 'again' }), 'not found');
    const second = t.client.content.Write();
    await fails(ask(second, { action: WRITE.COMMIT, ref: 'again', data: bytes }), 'already exists');
  });

  it('reads ranges', async () => {
    const bytes = Buffer.from('0123456789');
    const digest = await putBlob(t.client, bytes, KEEP);
    const read = async (offset: string, size: string): Promise<string> =>
      (await getBlob(t.client, digest, { offset, size })).toString();
    assert.equal(await read('0', '0'), '0123456789');
    assert.equal(await read('3', '4'), '3456');
    assert.equal(await read('8', '100'), '89');
    assert.equal(await read('10', '0'), '');
    assert.equal(await read('0', '-1'), '0123456789');
    await fails(getBlob(t.client, digest, { offset: '11' }), 'out of range');
    await fails(getBlob(t.client, sha256(Buffer.from('unknown'))), 'not found');
    await fails(getBlob(t.client, 'nonsense'), 'invalid argument');
    await fails(getBlob(t.client, 'sha256:../../../../etc/passwd'), 'invalid argument');
  });

  it('sends large blobs in order, and each part says where it belongs', async () => {
    const bytes = Buffer.alloc(3 * 1024 * 1024 + 17, 0);
    for (let index = 0; index < bytes.length; index += 4096) bytes.writeUInt32LE(index, index);
    const digest = await putBlob(t.client, bytes, KEEP);
    let offset = 0;
    const parts: Buffer[] = [];
    for await (const part of t.client.content.Read({ digest })) {
      assert.equal(part.offset, String(offset));
      offset += part.data.length;
      parts.push(part.data);
    }
    assert.ok(Buffer.concat(parts).equals(bytes));
    assert.ok(parts.length >= 4, 'no message holds more than a megabyte');
  });

  it('lists with filters', async () => {
    const client = t.inNewNamespace();
    const a = await putBlob(client, Buffer.from('a'), { ...KEEP, kind: 'letter' });
    const b = await putBlob(client, Buffer.from('bb'), { ...KEEP, kind: 'letters' });
    const list = async (...filters: string[]): Promise<string[]> =>
      (await collect(client.content.List({ filters }))).flatMap(({ info }) => info.map(({ digest }) => digest)).sort();
    assert.deepEqual(await list(), [a, b].sort());
    assert.deepEqual(await list('labels.kind==letters'), [b]);
    assert.deepEqual(await list(`digest==${a}`), [a]);
    await fails(client.content.List({ filters: ['==x'] }), 'invalid argument');
  });

  it('lists many in several messages', async () => {
    const client = t.inNewNamespace();
    for (let index = 0; index < 105; index += 1) await putBlob(client, Buffer.from(`blob ${index}`), KEEP);
    const sizes = (await collect(client.content.List({}))).map(({ info }) => info.length);
    assert.equal(
      sizes.reduce((sum, size) => sum + size, 0),
      105,
    );
    assert.ok(Math.max(...sizes) <= 100);
  });

  it('updates labels', async () => {
    const digest = await putBlob(t.client, Buffer.from('labelled'), { ...KEEP, a: '1', b: '2' });
    const update = async (labels: Record<string, string>, ...paths: string[]): Promise<Record<string, string>> =>
      present((await t.client.content.Update({ info: { digest, labels }, update_mask: { paths } })).info).labels;
    assert.deepEqual(await update({ a: '3', 'c.d/e': '4' }, 'labels.a', 'labels.c.d/e'), {
      ...KEEP,
      a: '3',
      b: '2',
      'c.d/e': '4',
    });
    assert.deepEqual(await update({ b: '' }, 'labels.b'), { ...KEEP, a: '3', 'c.d/e': '4' });
    assert.deepEqual(await update({ ...KEEP, only: 'this' }, 'labels'), { ...KEEP, only: 'this' });
    await fails(update({}, 'size'), 'invalid argument');
    await fails(t.client.content.Update({ info: { digest: sha256(Buffer.from('?')) } }), 'not found');
  });

  it('is shared between namespaces by digest, without its labels', async () => {
    const other = t.inNewNamespace();
    const bytes = Buffer.from('shared bytes');
    const digest = await putBlob(t.client, bytes, { ...KEEP, color: 'red' });
    await fails(other.content.Info({ digest }), 'not found');
    await fails(getBlob(other, digest), 'not found');
    const writer = other.content.Write();
    const stat = await ask(writer, {
      action: WRITE.STAT,
      ref: 'shared',
      expected: digest,
      total: String(bytes.length),
    });
    assert.equal(stat.offset, String(bytes.length), 'the writer comes back full');
    const done = await ask(writer, { action: WRITE.COMMIT, offset: stat.offset, expected: digest, labels: KEEP });
    assert.equal(done.digest, digest);
    writer.close();
    assert.deepEqual(present((await other.content.Info({ digest })).info).labels, KEEP);
    await t.client.content.Delete({ digest });
    assert.deepEqual(await getBlob(other, digest), bytes);
  });

  it('deletes', async () => {
    const digest = await putBlob(t.client, Buffer.from('deleted'), KEEP);
    await t.client.content.Delete({ digest });
    await fails(t.client.content.Info({ digest }), 'not found');
    await fails(t.client.content.Delete({ digest }), 'not found');
    await fails(t.client.content.Delete({ digest: 'nonsense' }), 'invalid argument');
  });

  it('lists and aborts ingests', async () => {
    const client = t.inNewNamespace();
    await leaveIngest(client, 'one', Buffer.from('1'));
    await leaveIngest(client, 'two', Buffer.from('22'));
    const { statuses } = await client.content.ListStatuses({});
    assert.deepEqual(statuses.map(({ ref, offset }) => `${ref}:${offset}`).sort(), ['one:1', 'two:2']);
    const filtered = await client.content.ListStatuses({ filters: ['ref==two'] });
    assert.deepEqual(
      filtered.statuses.map(({ ref }) => ref),
      ['two'],
    );
    await abort(client, 'one');
    await fails(client.content.Abort({ ref: 'one' }), 'not found');
    await fails(client.content.Status({ ref: 'one' }), 'not found');
    await abort(client, 'two');
  });

  it('keeps references of namespaces apart', async () => {
    const other = t.inNewNamespace();
    const [mine, theirs] = [t.client.content.Write(), other.content.Write()];
    await ask(mine, { action: WRITE.WRITE, ref: 'same', data: Buffer.from('mine') });
    assert.equal((await ask(theirs, { action: WRITE.STAT, ref: 'same' })).offset, '0');
    await ask(mine, { action: WRITE.COMMIT, offset: '4', labels: KEEP });
    theirs.cancel();
    await abort(other, 'same');
  });
});
