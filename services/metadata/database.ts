// The LevelDB database: opened, migrated, written with sync, and opened anew after a refused write.
import { Level } from 'level';
import { Failure, kindOf } from '../lib/errors.ts';
import { fault } from '../lib/fault.ts';
import { createReserve, type Reserve } from './reserve.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations.ts';

export type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string };

type Database = Level<string, Uint8Array>;

const VERSION_KEY = '@version';
const READ_AT_ONCE = 256;

export class MetadataDatabase {
  readonly #folder: string;
  readonly #current: (key: string) => Uint8Array | undefined;
  readonly #reserve: Reserve;
  #database: Database | undefined;
  /** Keys of refused writes: LevelDB may have kept any part of them. */
  readonly #doubtful = new Set<string>();

  /** `current` tells what a key should hold, when a refused write has left that in doubt. */
  constructor(folder: string, current: (key: string) => Uint8Array | undefined) {
    this.#folder = folder;
    this.#current = current;
    this.#reserve = createReserve(`${folder}.reserve`);
  }

  /** Throws `failed precondition` when another daemon has it open or a newer davit wrote it. */
  async open(): Promise<void> {
    this.#database = await this.#withReserve(() => openDatabase(this.#folder));
    await this.#migrate(this.#database);
    this.#reserve.restore();
  }

  /** All records but the version, many at a time, in the order of their keys' bytes. */
  async *records(): AsyncIterable<readonly (readonly [key: string, value: Uint8Array])[]> {
    if (this.#database === undefined) return;
    const iterator = this.#database.iterator({ gt: VERSION_KEY });
    try {
      for (;;) {
        const entries = await iterator.nextv(READ_AT_ONCE);
        if (entries.length === 0) return;
        yield entries;
      }
    } finally {
      await iterator.close();
    }
  }

  /** Ends it; what refused writes have left is set right when the disk takes that now. */
  async stop(): Promise<void> {
    if (this.#doubtful.size > 0) await this.#reopen().catch(() => undefined);
    await this.#close();
  }

  async #close(): Promise<void> {
    const database = this.#database;
    this.#database = undefined;
    await this.#reserve.settled();
    await database?.close();
  }

  /**
   * Writes all operations, on disk when it resolves. After a failure nothing of them counts: LevelDB
   * takes no write after a refused one, so the next write() opens the database anew and first sets
   * right what the refused ones may have left. On a full disk the room set aside is used up for deletions, which
   * make room.
   */
  async write(operations: readonly Operation[]): Promise<void> {
    const work = (): Promise<void> => this.#write(operations);
    await (operations.every(({ type }) => type === 'del') ? this.#withReserve(work) : work());
    this.#reserve.restore();
  }

  async #write(operations: readonly Operation[]): Promise<void> {
    try {
      const database = this.#database ?? (await this.#reopen());
      await fault('metadata.batch.before-write');
      await database.batch([...operations], { sync: true });
      await fault('metadata.batch.after-write');
      this.#doubtful.clear();
    } catch (error) {
      for (const operation of operations) this.#doubtful.add(operation.key);
      await this.#close().catch(() => undefined);
      throw writeFailure(error);
    }
  }

  /** Does the work, once more with the room set aside when the disk is full. */
  async #withReserve<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (kindOf(error) !== 'resource exhausted' || !(await this.#reserve.release())) throw error;
      return work();
    }
  }

  async #reopen(): Promise<Database> {
    const database = await openDatabase(this.#folder);
    try {
      const repair = [...this.#doubtful].map((key): Operation => {
        const value = this.#current(key);
        return value === undefined ? { type: 'del', key } : { type: 'put', key, value };
      });
      await database.batch(repair, { sync: true });
    } catch (error) {
      await database.close().catch(() => undefined);
      throw error;
    }
    this.#database = database;
    return database;
  }

  async #migrate(database: Database): Promise<void> {
    const stored = await database.get(VERSION_KEY);
    const version = stored === undefined ? undefined : Number(Buffer.from(stored).toString());
    if (version === SCHEMA_VERSION) return;
    if (version !== undefined && !(version < SCHEMA_VERSION)) {
      throw new Failure(
        'failed precondition',
        `metadata in ${this.#folder} has version ${version}, this davit knows up to ${SCHEMA_VERSION}; use a newer davit: failed precondition`,
      );
    }
    for (let from = version ?? SCHEMA_VERSION; from < SCHEMA_VERSION; from++) await MIGRATIONS[from]?.(database);
    await database.put(VERSION_KEY, Buffer.from(String(SCHEMA_VERSION)), { sync: true });
  }
}

async function openDatabase(folder: string): Promise<Database> {
  const database: Database = new Level(folder, { keyEncoding: 'utf8', valueEncoding: 'view' });
  try {
    await database.open();
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (cause instanceof Error && 'code' in cause && cause.code === 'LEVEL_LOCKED') {
      throw new Failure(
        'failed precondition',
        `metadata in ${folder} is in use by another davitd; stop it or choose another --root: failed precondition`,
        { cause: error },
      );
    }
    const reason = cause instanceof Error ? cause.message : String(error);
    if (isFull(reason)) {
      const text = `open metadata in ${folder}: ${reason}; free some space: resource exhausted`;
      throw new Failure('resource exhausted', text, { cause: error });
    }
    throw new Failure('internal', `open metadata in ${folder}: ${reason}`, { cause: error });
  }
  return database;
}

function writeFailure(error: unknown): Failure {
  const text = error instanceof Error ? error.message : String(error);
  if (error instanceof Failure && error.kind === 'resource exhausted') return error.in('write metadata');
  if (isFull(text)) {
    return new Failure('resource exhausted', `write metadata: ${text}: resource exhausted`, { cause: error });
  }
  return error instanceof Failure ? error : new Failure('internal', `write metadata: ${text}`, { cause: error });
}

const isFull = (text: string): boolean => /no space left|disk quota/i.test(text);
