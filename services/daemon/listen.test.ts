import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { describe, it } from 'mocha';
import { ownSocket } from './listen.ts';

describe('daemon: sockets', () => {
  it('belong to whom the configuration says, and answer nobody else', async function () {
    const folder = mkdtempSync(path.join(tmpdir(), 'davit-own-'));
    const socket = path.join(folder, 'socket');
    writeFileSync(socket, '', { mode: 0o777 });
    const root = process.getuid?.() === 0;
    const [uid, gid] = root ? [1234, 5678] : [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
    try {
      await ownSocket(socket, uid, gid);
      const found = statSync(socket);
      assert.deepEqual([found.uid, found.gid, found.mode & 0o777], [uid, gid, 0o660]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
