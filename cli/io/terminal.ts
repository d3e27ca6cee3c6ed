// Our own terminal: raw while a process has it, as it was on every way out.

export interface RawTerminal {
  restore(): void;
}

/** Nothing happens when stdin is no terminal. */
export function rawTerminal(): RawTerminal {
  const { stdin } = process;
  if (!stdin.isTTY) return { restore: () => undefined };
  const restore = (): void => {
    if (stdin.isRaw) stdin.setRawMode(false);
  };
  stdin.setRawMode(true);
  process.once('exit', restore);
  return { restore };
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Undefined when stdout is no terminal, or one without a size. */
export function terminalSize(): Size | undefined {
  const { columns, rows } = process.stdout;
  return columns > 0 && rows > 0 ? { width: columns, height: rows } : undefined;
}

/** Calls back at every change until stopped. */
export function onResize(callback: (size: Size) => void): () => void {
  const changed = (): void => {
    const size = terminalSize();
    if (size !== undefined) callback(size);
  };
  process.stdout.on('resize', changed);
  return () => process.stdout.off('resize', changed);
}

const CTRL_P = 0x10;
const CTRL_Q = 0x11;

/**
 * Watches what is typed for ctrl-p ctrl-q. ctrl-p itself goes through at once: it is a key that
 * shells use, and waiting for the next one would make it feel broken.
 */
export function detachKeys(detach: () => void): (chunk: Buffer) => Buffer {
  let armed = false;
  return (chunk) => {
    for (const [index, byte] of chunk.entries()) {
      if (armed && byte === CTRL_Q) {
        detach();
        return chunk.subarray(0, index);
      }
      armed = byte === CTRL_P;
    }
    return chunk;
  };
}
