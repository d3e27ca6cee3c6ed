// Progress of a transfer: a bar for each part on a terminal, a line when a part is done elsewhere.
import type { Progress } from '../../proto/gen/containerd.types.transfer.ts';
import { binarySize } from './units.ts';

export interface TransferProgress {
  take(progress: Progress): void;
  /** Draws the last state; nothing is drawn afterwards. */
  end(): void;
}

interface Output {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

const EVERY_MS = 100;
const BAR = 30;
const DONE = new Set(['complete', 'already exists', 'extracted']);

export function transferProgress(output: Output): TransferProgress {
  return output.isTTY === true ? bars(output) : lines(output);
}

/** States that last, each once. */
function lines(output: Output): TransferProgress {
  const said = new Set<string>();
  return {
    take({ event, name, total, desc }) {
      if (desc === null || !name.includes(desc.digest) || !DONE.has(event)) return;
      const line = `${shortName(name)}: ${event} (${binarySize(total)})\n`;
      if (said.has(line)) return;
      said.add(line);
      output.write(line);
    },
    end: () => undefined,
  };
}

function bars(output: Output): TransferProgress {
  const parts = new Map<string, Progress>();
  let status = '';
  let drawn = 0;
  let timer: NodeJS.Timeout | undefined;
  const draw = (): void => {
    timer = undefined;
    const width = Math.max(output.columns ?? 80, 40);
    const room = Math.max((output.rows ?? 24) - 2, 3);
    const shown = [...parts.values()].slice(-room).map(row);
    const text = [status, ...shown].map((line) => `\u001B[K${line.slice(0, width - 1)}\n`).join('');
    output.write(`${drawn > 0 ? `\u001B[${drawn}A` : ''}${text}`);
    drawn = shown.length + 1;
  };
  return {
    take(progress) {
      if (progress.name === '') status = progress.event;
      else if (progress.desc !== null && progress.name.includes(progress.desc.digest))
        parts.set(progress.name, progress);
      timer ??= setTimeout(draw, EVERY_MS);
    },
    end() {
      clearTimeout(timer);
      if (parts.size > 0) draw();
    },
  };
}

function row({ event, name, progress, total }: Progress): string {
  const [done, all] = [Number(progress), Number(total)];
  const label = `${shortName(name).padEnd(22)} ${event.padEnd(14)}`;
  if (DONE.has(event) || event === 'extracting' || event === 'waiting') return `${label} ${binarySize(all)}`;
  const filled = all > 0 ? Math.min(BAR, Math.floor((BAR * done) / all)) : 0;
  return `${label} [${'='.repeat(filled).padEnd(BAR)}] ${binarySize(done)} / ${binarySize(all)}`;
}

/** `layer 40f645c481e8`. */
function shortName(name: string): string {
  const [, kind = '', hash = ''] = /^(\w+)-(?:.*@)?\w+:([0-9a-f]{12})/.exec(name) ?? [];
  return hash === '' ? name : `${kind} ${hash}`;
}
