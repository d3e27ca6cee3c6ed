// Progress of a transfer in the daemon.
import type { Progress } from '../../proto/gen/containerd.types.transfer.ts';
import { bars } from './bars.ts';

export interface TransferProgress {
  take(progress: Progress): void;
  /** Draws the last state; nothing is drawn afterwards. */
  end(): void;
}

const DONE = new Set(['complete', 'already exists', 'extracted']);
const UNMEASURED = new Set([...DONE, 'extracting', 'waiting']);

export function transferProgress(output: NodeJS.WriteStream): TransferProgress {
  const shown = bars(output);
  return {
    take({ event, name, progress, total, desc }) {
      if (name === '') shown.status(event);
      else if (desc !== null && name.includes(desc.digest))
        shown.part({
          key: name,
          label: shortName(name),
          event,
          done: Number(progress),
          total: Number(total),
          last: DONE.has(event),
          measured: !UNMEASURED.has(event),
        });
    },
    end: () => shown.end(),
  };
}

/** `layer 40f645c481e8`. */
function shortName(name: string): string {
  const [, kind = '', hash = ''] = /^(\w+)-(?:.*@)?\w+:([0-9a-f]{12})/.exec(name) ?? [];
  return hash === '' ? name : `${kind} ${hash}`;
}
