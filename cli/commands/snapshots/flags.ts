// The snapshotter belongs between `snapshots` and its verb.
import { snapshotterFlag } from '../../run/flags.ts';

export const nounFlags = { snapshotter: snapshotterFlag };
