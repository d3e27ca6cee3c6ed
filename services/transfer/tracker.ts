// Turns what happens to an image's parts into progress: each part's state when it changes, sizes now
// and then.
import { refKey, type Descriptor } from './documents.ts';
import type { Report } from './api.ts';

type State = 'waiting' | 'downloading' | 'uploading' | 'complete' | 'already exists' | 'extracting' | 'extracted';

interface Part {
  readonly descriptor: Descriptor;
  readonly name: string;
  readonly parents: readonly string[];
  state: State;
  progress: number;
  reported: number;
}

const EVERY_MS = 100;

export class Tracker {
  readonly #report: Report;
  readonly #root: string;
  readonly #moving: 'downloading' | 'uploading';
  readonly #parts = new Map<string, Part>();
  readonly #timer: NodeJS.Timeout;

  /** `root`: what stands for the whole image. close() is to be called in the end. */
  constructor(report: Report, root: string, moving: 'downloading' | 'uploading') {
    this.#report = report;
    this.#root = root;
    this.#moving = moving;
    this.#timer = setInterval(() => this.#tick(), EVERY_MS).unref();
  }

  /** A line about the whole. */
  line(event: string): void {
    this.#report({ event, name: '', parents: [], progress: 0, total: 0, descriptor: undefined });
  }

  /** A line about an image. */
  image(event: string, name: string, descriptor: Descriptor): void {
    this.#report({ event, name, parents: [], progress: 0, total: 0, descriptor });
  }

  add(descriptor: Descriptor, parent: Descriptor | undefined): void {
    if (this.#parts.has(descriptor.digest)) return;
    const parents = [parent === undefined ? this.#root : refKey(parent)];
    const name = refKey(descriptor);
    const part: Part = { descriptor, name, parents, state: 'waiting', progress: 0, reported: 0 };
    this.#parts.set(descriptor.digest, part);
    this.#send(part);
  }

  /** So many bytes have travelled. */
  moved({ digest }: Descriptor, bytes: number): void {
    const part = this.#parts.get(digest);
    if (part === undefined) return;
    part.progress = bytes;
    part.state = this.#moving;
  }

  /** The part is in a further state, with all or none of its size done. */
  enter({ digest }: Descriptor, state: Exclude<State, 'downloading' | 'uploading' | 'waiting'>): void {
    const part = this.#parts.get(digest);
    if (part === undefined || part.state === state) return;
    part.state = state;
    part.progress = state === 'extracting' ? 0 : part.descriptor.size;
    this.#send(part);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #tick(): void {
    for (const part of this.#parts.values()) {
      if (part.state === this.#moving && part.progress !== part.reported) this.#send(part);
    }
  }

  #send(part: Part): void {
    const { name, parents, progress, descriptor, state } = part;
    part.reported = progress;
    this.#report({ event: state, name, parents, progress, total: descriptor.size, descriptor });
  }
}
