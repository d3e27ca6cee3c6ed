// When garbage collection runs: soon after records were deleted, after many changes, when a root
// expires, or at once when somebody waits for it; and so rarely that its pauses stay below a share of
// the time. While nothing happens no timer runs.
import { unavailable } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';

/** containerd's options; times in milliseconds. */
export interface GcOptions {
  /** Share of the time that pauses may take, at most 0.5; 0 for no limit. */
  readonly pauseThreshold: number;
  /** Deletions that cause a run at once; 0 for none. */
  readonly deletionThreshold: number;
  /** Changes that cause a run; 0 for none. */
  readonly mutationThreshold: number;
  /** How long to wait before a run that was asked for. */
  readonly scheduleDelay: number;
  /** When the first run comes. */
  readonly startupDelay: number;
}

/** One run; resolves with how long it stopped everything else and when the next root expires. */
export type Run = () => Promise<{ pause: number; nextExpiry: number }>;

interface Waiter {
  resolve(): void;
  reject(error: unknown): void;
}

const MINIMUM_PAUSE = 5;
const FIRST_INTERVAL = 1000;
const RETRY_DELAY = 1000;
/** setTimeout cannot wait longer than 2^31 milliseconds. */
const LONGEST_WAIT = 3_600_000;

export class GcScheduler {
  readonly #options: GcOptions;
  readonly #log: Logger;
  readonly #run: Run;
  #state: 'new' | 'started' | 'stopped' = 'new';
  #timer: NodeJS.Timeout | undefined;
  /** When the timer fires, in milliseconds since 1970. */
  #due = Infinity;
  #running: Promise<void> | undefined;
  #waiters: Waiter[] = [];
  #deletions = 0;
  #mutations = 0;
  /** When the next root expires, in milliseconds since 1970. */
  #expiry = Infinity;
  #interval = FIRST_INTERVAL;
  #pauses = 0;
  #runs = 0;

  constructor(options: GcOptions, log: Logger, run: Run) {
    this.#options = options;
    this.#log = log;
    this.#run = run;
  }

  start(): void {
    this.#state = 'started';
    this.#schedule(this.#waiters.length > 0 ? 0 : this.#options.startupDelay);
  }

  async stop(): Promise<void> {
    this.#state = 'stopped';
    clearTimeout(this.#timer);
    await this.#running;
    this.#settle((waiter) => waiter.reject(unavailable('garbage collection has stopped')));
  }

  deleted(): void {
    this.#deletions++;
    this.#consider();
  }

  changed(): void {
    this.#mutations++;
    this.#consider();
  }

  /** A root expires at `time`, in milliseconds since 1970. */
  expiring(time: number): void {
    this.#expiry = Math.min(this.#expiry, time);
    this.#consider();
  }

  /** Resolves after a run that began after this call. */
  collect(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === 'stopped') return reject(unavailable('garbage collection has stopped'));
      const abort = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        reject(signal?.reason as Error);
      };
      const waiter: Waiter = {
        resolve: () => (signal?.removeEventListener('abort', abort), resolve()),
        reject: (error) => (signal?.removeEventListener('abort', abort), reject(error)),
      };
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      this.#waiters.push(waiter);
      this.#consider();
    });
  }

  /** Sets the timer when there is reason to, or moves it nearer. */
  #consider(): void {
    const { deletionThreshold, mutationThreshold, scheduleDelay } = this.#options;
    if (this.#waiters.length > 0 || (deletionThreshold > 0 && this.#deletions >= deletionThreshold)) {
      this.#schedule(scheduleDelay);
    } else if (this.#deletions > 0 || (mutationThreshold > 0 && this.#mutations >= mutationThreshold)) {
      this.#schedule(this.#interval);
    }
    if (this.#expiry !== Infinity) this.#schedule(Math.max(this.#expiry + 1 - Date.now(), this.#interval));
  }

  #schedule(delay: number): void {
    const due = Date.now() + delay;
    // During a run the reasons are counted, and considered when it is over.
    if (this.#state !== 'started' || this.#running !== undefined || this.#due <= due) return;
    clearTimeout(this.#timer);
    this.#due = due;
    this.#timer = setTimeout(() => this.#fire(), Math.min(delay, LONGEST_WAIT));
    this.#timer.unref();
  }

  #fire(): void {
    const due = this.#due;
    this.#due = Infinity;
    if (due > Date.now() + 1) return this.#schedule(due - Date.now());
    this.#running = this.#once().then((nextExpiry) => {
      this.#running = undefined;
      this.expiring(nextExpiry);
    });
  }

  /** Resolves with when the next root expires; never rejects. */
  async #once(): Promise<number> {
    const waiters = this.#waiters;
    this.#waiters = [];
    this.#deletions = 0;
    this.#mutations = 0;
    this.#expiry = Infinity;
    try {
      const { pause, nextExpiry } = await this.#run();
      this.#measure(pause);
      for (const waiter of waiters) waiter.resolve();
      return nextExpiry;
    } catch (error) {
      this.#log.error('garbage collection failed, will try again', { error });
      this.#deletions++;
      this.#interval = Math.max(this.#interval, RETRY_DELAY);
      for (const waiter of waiters) waiter.reject(error);
      return Infinity;
    }
  }

  #measure(pause: number): void {
    this.#pauses += pause;
    this.#runs++;
    const threshold = Math.min(this.#options.pauseThreshold, 0.5);
    if (threshold <= 0) return;
    const average = Math.max(this.#pauses / this.#runs, MINIMUM_PAUSE);
    this.#interval = average / threshold - average;
  }

  #settle(each: (waiter: Waiter) => void): void {
    for (const waiter of this.#waiters.splice(0)) each(waiter);
  }
}
