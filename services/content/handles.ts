// Open files that are used again soon. Go clients read a blob in pieces of 32 KiB with a call for each:
// opening and closing the file every time costs more than reading.
import { open, type FileHandle } from 'node:fs/promises';

/** How long a file stays open after its last use, in milliseconds. */
const LINGER = 500;
/** Files that stay open unused. */
const MOST_IDLE = 32;

interface Entry {
  readonly handle: Promise<FileHandle>;
  users: number;
  idleSince: number;
}

/** A file that somebody uses; released, not closed. */
export interface Lent {
  readonly handle: FileHandle;
  release(): void;
}

export class Handles {
  readonly #entries = new Map<string, Entry>();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** Opens a file to read, or lends it again. Fails as open() does. */
  async lend(file: string): Promise<Lent> {
    const entry = this.#entries.get(file) ?? this.#open(file);
    entry.users++;
    const handle = await entry.handle;
    let released = false;
    return {
      handle,
      release: () => {
        if (released) return;
        released = true;
        this.#release(file, entry);
      },
    };
  }

  /** The name now means another file, or none: who opens it next gets that. */
  forget(file: string): void {
    const entry = this.#entries.get(file);
    if (entry === undefined) return;
    this.#entries.delete(file);
    if (entry.users === 0) void close(entry);
  }

  /** Closes what nobody uses now, and the rest when it is released. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.all(entries.filter(({ users }) => users === 0).map(close));
  }

  #open(file: string): Entry {
    const entry: Entry = { handle: open(file, 'r'), users: 0, idleSince: 0 };
    this.#entries.set(file, entry);
    entry.handle.catch(() => {
      if (this.#entries.get(file) === entry) this.#entries.delete(file);
    });
    return entry;
  }

  #release(file: string, entry: Entry): void {
    if (--entry.users > 0) return;
    if (this.#closed || this.#entries.get(file) !== entry) return void close(entry);
    entry.idleSince = Date.now();
    // Most recently used last.
    this.#entries.delete(file);
    this.#entries.set(file, entry);
    this.#timer ??= setTimeout(() => this.#expire(), LINGER).unref();
    for (const [oldest, { users }] of this.#entries) {
      if (this.#entries.size <= MOST_IDLE) break;
      if (users === 0) this.forget(oldest);
    }
  }

  #expire(): void {
    this.#timer = undefined;
    const now = Date.now();
    let idle = false;
    for (const [file, { users, idleSince }] of this.#entries) {
      if (users > 0) continue;
      if (now - idleSince >= LINGER) this.forget(file);
      else idle = true;
    }
    if (idle) this.#timer = setTimeout(() => this.#expire(), LINGER).unref();
  }
}

async function close({ handle }: Entry): Promise<void> {
  await (await handle).close();
}
