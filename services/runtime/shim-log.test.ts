import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, it } from 'mocha';
import type { Logger } from '../lib/log.ts';
import { runProgram } from './program.ts';
import { openShimLog, type ShimLog } from './shim-log.ts';

describe('the log of the shims', () => {
  let folder: string;
  let shimLog: ShimLog | undefined;
  let lines: [level: string, line: unknown][];

  const keep = (level: string) => (_: string, fields?: Readonly<Record<string, unknown>>) =>
    void lines.push([level, fields?.['line']]);
  const log: Logger = {
    debugEnabled: true,
    debug: keep('debug'),
    info: keep('info'),
    warn: keep('warn'),
    error: keep('error'),
    with: () => log,
  };

  beforeEach(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'shim-log-'));
    lines = [];
  });
  afterEach(() => {
    shimLog?.close();
    shimLog = undefined;
    rmSync(folder, { recursive: true });
  });

  const open = async (): Promise<ShimLog> =>
    (shimLog = await openShimLog(path.join(folder, 'shim-log'), runProgram, log));
  const bundle = (id: string) => {
    const made = { namespace: 'ns', id, path: path.join(folder, id) };
    mkdirSync(made.path);
    return made;
  };
  const arrived = async (count: number): Promise<void> => {
    for (let tries = 0; lines.length < count && tries < 200; tries++)
      await new Promise((resolve) => setTimeout(resolve, 5));
  };

  it('is one for all bundles, at the level that a line says', async () => {
    const opened = await open();
    const [a, b] = [bundle('a'), bundle('b')];
    opened.link(a);
    opened.link(b);
    appendFileSync(path.join(a.path, 'log'), 'level=error msg=x\nlevel=info msg=y\n');
    await arrived(2);
    appendFileSync(path.join(b.path, 'log'), 'bare words\n');
    await arrived(3);
    assert.deepEqual(lines, [
      ['error', 'level=error msg=x'],
      ['debug', 'level=info msg=y'],
      ['warn', 'bare words'],
    ]);
  });

  it('goes on after a restart of the daemon', async () => {
    const a = bundle('a');
    (await open()).link(a);
    shimLog?.close();
    await open();
    appendFileSync(path.join(a.path, 'log'), 'again\n');
    await arrived(1);
    assert.deepEqual(lines, [['warn', 'again']]);
  });
});
