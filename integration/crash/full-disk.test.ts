// A disk without room: clear errors, and life goes on once there is room again.
import { strict as assert } from 'node:assert';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync } from 'node:fs';
import { after, before, describe, it } from 'mocha';
import { connect } from '../../client/connect.ts';
import { createDaemon, type Daemon } from '../harness/daemon.ts';
import { sha256 } from '../harness/image.ts';
import { getBlob, putBlob } from '../harness/store.ts';

const KEEP = { 'containerd.io/gc.root': 'now' };
const MEGABYTE = 1024 * 1024;

describe('a full disk', () => {
  let directory = '';
  let daemon: Daemon | undefined;

  before(async () => {
    directory = mkdtempSync('/tmp/davit-small-');
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=24m', 'tmpfs', directory]);
    daemon = createDaemon({ parent: directory });
    await daemon.start();
  });
  after(async () => {
    await daemon?.stop();
    execFileSync('umount', [directory]);
    rmdirSync(directory);
  });

  it('refuses content with the reason, keeps what it has, and takes more when there is room', async () => {
    assert.ok(daemon);
    using client = connect(daemon.address, { namespace: 'full' });
    const kept = await putBlob(client, Buffer.from('kept'), KEEP);
    const large = Buffer.alloc(6 * MEGABYTE, 1);
    const stored: string[] = [];
    await assert.rejects(async () => {
      for (let index = 0; index < 10; index += 1) {
        large[0] = index;
        stored.push(await putBlob(client, large, KEEP));
      }
    }, /no space left on device/i);
    assert.ok(stored.length >= 1);
    assert.equal((await getBlob(client, kept)).toString(), 'kept');
    const { statuses } = await client.content.ListStatuses({});
    for (const { ref } of statuses) await client.content.Abort({ ref }).catch(() => undefined);
    for (const digest of stored) await client.content.Delete({ digest });
    await client.leases.Create({ id: 'sweep' });
    await client.leases.Delete({ id: 'sweep', sync: true });
    large[0] = 100;
    assert.equal(await putBlob(client, large, KEEP), sha256(large));
  });
});
