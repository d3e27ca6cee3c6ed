// What every snapshotter has to do, whoever implements it and however it is reached: run on each
// driver here, and over gRPC on any address. Needs the right to mount.
import assert from 'node:assert/strict';
import { createBench, type Bench, type Capabilities, type MakeLease, type Subject } from './bench.ts';
import { fileTests } from './suite-files.ts';
import { recordTests } from './suite-records.ts';

export interface Opened {
  readonly subject: Subject;
  readonly makeLease: MakeLease;
  /** Called after the last test. */
  close(): Promise<void>;
}

export function snapshotterSuite(name: string, capabilities: Capabilities, open: () => Promise<Opened>): void {
  describe(`snapshotter ${name}`, () => {
    let opened: Opened | undefined;
    let current: Bench | undefined;

    const bench = (): Bench => {
      assert(current !== undefined);
      return current;
    };

    before(async () => {
      opened = await open();
    });
    after(() => opened?.close());

    beforeEach(async () => {
      assert(opened !== undefined);
      current = await createBench(opened.subject, opened.makeLease);
    });
    afterEach(() => current?.removeAll());

    recordTests(bench, capabilities, async () => {
      assert(opened !== undefined);
      return createBench(opened.subject, opened.makeLease);
    });
    fileTests(bench, capabilities);
  });
}
