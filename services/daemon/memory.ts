// How V8 spends memory: sparingly while clients ask for this and that, freely while blobs stream through the daemon.
//
// Sparing saves a fifth of the memory, for less than can be measured in speed: young objects have one megabyte, and
// code is not copied into its callers. But it also makes every full collection compact the heap, and buffers that
// come and go make V8 collect after every few megabytes of them: a third of the processor time of an import, in
// pauses of 50 ms and more.
import { setFlagsFromString } from 'node:v8';

export interface Memory {
  /** Begins to spare, when the daemon has started; not on V8's command line: see scripts/program.mjs. */
  spare(): void;
  /** A piece of a blob passes through. */
  streaming(): void;
}

/** How long memory is spent after the last piece, in milliseconds. */
const CALM = 5000;
const SPARING = ['--semi-space-growth-factor=1', '--optimize-for-size'];
const SPENDING = ['--semi-space-growth-factor=2', '--no-optimize-for-size'];

export function createMemory(): Memory {
  let started = false;
  let calm: NodeJS.Timeout | undefined;

  function set(flags: readonly string[]): void {
    for (const flag of flags) setFlagsFromString(flag);
  }

  return {
    spare() {
      started = true;
      if (calm === undefined) set(SPARING);
    },
    streaming() {
      if (calm !== undefined) return void calm.refresh();
      set(SPENDING);
      calm = setTimeout(() => {
        calm = undefined;
        if (started) set(SPARING);
      }, CALM).unref();
    },
  };
}
