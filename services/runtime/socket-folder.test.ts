import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import type { Logger } from '../lib/log.ts';
import { createRecovery } from '../lib/recovery.ts';
import { temporaryFolder } from '../lib/testing/folder.ts';
import { openSocketFolder } from './socket-folder.ts';

const QUIET: Logger = { debugEnabled: false, debug() {}, info() {}, warn() {}, error() {}, with: () => QUIET };

const listening = (file: string): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.listen(file, () => resolve(server));
  });

/** A socket that a killed process left. */
async function dead(file: string): Promise<void> {
  const server = await listening(`${file}.new`);
  const { renameSync } = await import('node:fs');
  // close() would remove the name it was bound to.
  renameSync(`${file}.new`, file);
  await new Promise((resolve) => server.close(resolve));
}

describe('the folder of the sockets', () => {
  it('is in the state while paths are short', async () => {
    await using folder = await temporaryFolder();
    const sockets = await openSocketFolder('/tmp/x', createRecovery(QUIET), folder.path);
    assert.equal(sockets.path, '/tmp/x/s');
    rmSync('/tmp/x', { recursive: true });
  });

  it('elsewhere, it goes when nothing is in it', async () => {
    await using folder = await temporaryFolder();
    const state = path.join(folder.path, 'state-'.padEnd(50, 'x'));
    mkdirSync(state);
    const sockets = await openSocketFolder(state, createRecovery(QUIET), path.join(folder.path, 'r'));
    const server = await listening(path.join(sockets.path, 'a'));
    await sockets.close();
    assert.ok(existsSync(sockets.path));
    await new Promise((resolve) => server.close(resolve));
    await sockets.close();
    assert.deepEqual(readdirSync(path.join(folder.path, 'r')), []);
  });

  it('loses dead sockets, but neither live ones nor known ones nor new ones', async () => {
    await using folder = await temporaryFolder();
    const short = path.join(folder.path, 'r');
    const state = path.join(folder.path, 'state-'.padEnd(50, 'x'));
    mkdirSync(state);
    const recovery = createRecovery(QUIET);
    const own = (await openSocketFolder(state, recovery, short)).path;
    const server = await listening(path.join(own, 'live'));
    for (const name of ['known', 'dead']) await dead(path.join(own, name));
    const orphaned = path.join(short, 's-gone');
    const others = path.join(short, 's-kept');
    for (const [other, owner] of [
      [orphaned, '/nonexistent'],
      [others, state],
    ] as const) {
      mkdirSync(other);
      symlinkSync(owner, path.join(other, '.state'));
      await dead(path.join(other, 'socket'));
    }
    await sleep(20);
    const sockets = await openSocketFolder(state, recovery, short);
    await sleep(20);
    await dead(path.join(own, 'new'));
    await sockets.sweep(new Set([path.join(own, 'known')]));
    assert.deepEqual(readdirSync(own).sort(), ['.state', 'known', 'live', 'new']);
    assert.deepEqual(readdirSync(short).sort(), [path.basename(own), 's-kept'].sort());
    assert.deepEqual(readdirSync(others).sort(), ['.state', 'socket']);
    assert.deepEqual(
      recovery.findings.map(({ id }) => path.basename(id)),
      ['dead', 'socket'],
    );
    await new Promise((resolve) => server.close(resolve));
  });
});
