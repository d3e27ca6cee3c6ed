import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'mocha';
import type { Content } from '../content/api.ts';
import { digestOf } from '../lib/digest.ts';
import { createDownloader } from './download.ts';
import { createJobs } from './jobs.ts';
import type { Repository } from './registry/client.ts';

const BYTES = Buffer.alloc(100_000, 'x');
const descriptor = { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: digestOf(BYTES), size: BYTES.length };

/** A store with one ingest, of which only its length is kept. */
function emptyStore(): { readonly content: Content; readonly status: { offset: number } } {
  const status = { offset: 0 };
  const writer = {
    status,
    write: async (bytes: Buffer) => void (status.offset += bytes.length),
    commit: async () => undefined,
    close: async () => undefined,
  };
  return { status, content: { has: () => false, writer: async () => writer } as unknown as Content };
}

describe('downloads', () => {
  it('end when a registry sends next to nothing, however often it is asked', async () => {
    const { content, status } = emptyStore();
    let asked = 0;
    const from = {
      async blob(_blob: unknown, offset: number, signal: AbortSignal) {
        asked += 1;
        const drip = async function* (): AsyncGenerator<Buffer> {
          for (;;) {
            await sleep(5);
            signal.throwIfAborted();
            yield Buffer.from('x');
          }
        };
        return { offset, body: drip(), discard: () => undefined };
      },
    } as unknown as Repository;
    const download = createDownloader({
      content,
      jobs: createJobs(),
      shared: true,
      patience: { slowest: 40, retry: 1 },
    });
    const scope = { namespace: 'n', lease: undefined };
    const signal = new AbortController().signal;
    const done = download({ scope, descriptor, from, progress: () => undefined }, signal);
    await assert.rejects(done, /sha256:\w+: \d+ bytes in 0\.04 s: unavailable$/);
    assert.ok(asked > 1 && asked < 10, `asked ${asked} times`);
    assert.ok(status.offset < 1000);
  });
});
