// One line that says how far a long command is, on a terminal and only when it takes longer.
import { binarySize } from './units.ts';

const DELAY_MS = 1000;
const EVERY_MS = 200;

export interface Progress {
  bytes(done: number): void;
  text(what: string): void;
  /** Clears the line. */
  end(): void;
}

export function progress(label: string, total?: number): Progress {
  const stream = process.stderr;
  const started = Date.now();
  let shown = 0;
  let visible = false;
  const show = (what: string): void => {
    const now = Date.now();
    if (!stream.isTTY || now - started < DELAY_MS || now - shown < EVERY_MS) return;
    shown = now;
    visible = true;
    stream.write(`\r\u001B[K${label}: ${what}`.slice(0, Math.max(stream.columns, 20)));
  };
  return {
    bytes(done) {
      const seconds = Math.max((Date.now() - started) / 1000, 0.001);
      const share = total ? ` of ${binarySize(total)} (${Math.floor((100 * done) / total)}%)` : '';
      show(`${binarySize(done)}${share}, ${binarySize(done / seconds)}/s`);
    },
    text: show,
    end() {
      if (visible) stream.write('\r\u001B[K');
      visible = false;
    },
  };
}
