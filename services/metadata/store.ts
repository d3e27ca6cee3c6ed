// The metadata store: tables in memory over LevelDB on disk.
//
// Schema (keys are UTF-8, the parts joined by one NUL byte):
//
//   @version                            decimal number of the layout, SCHEMA_VERSION
//   <table> NUL <namespace> NUL <key>   the record, as the table's codec writes it
//
// Every slice names its tables in its README. Raise SCHEMA_VERSION and add a migration with every
// change of the layout or of a codec that old records do not satisfy.
import { Level } from 'level';
import { Failure, invalidArgument } from '../lib/errors.ts';
import type { Codec, Metadata, Table, Transaction } from './api.ts';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations.ts';
import { MemoryTable } from './table.ts';

type Database = Level<string, Uint8Array>;
type Operation = { type: 'put'; key: string; value: Uint8Array } | { type: 'del'; key: string };
type Undo = () => void;

const VERSION_KEY = '@version';
const NUL = '\0';

/** One transaction that waits for the disk. */
interface Waiting {
  readonly operations: readonly Operation[];
  readonly undo: readonly Undo[];
  resolve(): void;
  reject(error: unknown): void;
}

export class MetadataStore implements Metadata {
  readonly #folder: string;
  readonly #tables = new Map<string, MemoryTable<unknown>>();
  #database: Database | undefined;
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  table<T>(name: string, codec: Codec<T>): Table<T> {
    if (this.#tables.has(name) || this.#database !== undefined)
      throw new Error(`table ${name} declared twice or too late`);
    const table = new MemoryTable<T>(name, codec);
    this.#tables.set(name, table);
    return table;
  }

  /**
   * Opens the database, migrates it when it is older, and reads every record.
   * Throws `failed precondition` when another daemon has it open or a newer davit wrote it.
   */
  async open(): Promise<void> {
    this.#database = await openDatabase(this.#folder);
    await this.#migrate(this.#database);
    for await (const [key, value] of this.#database.iterator()) {
      const [tableName, namespace, name] = splitKey(key);
      const table = tableName === undefined ? undefined : this.#tables.get(tableName);
      if (table === undefined || namespace === undefined || name === undefined) continue;
      try {
        table.set(namespace, name, table.codec.decode(value));
      } catch (error) {
        throw new Failure('data loss', `metadata record ${JSON.stringify(key)} cannot be read: data loss`, {
          cause: error,
        });
      }
    }
  }

  /** Waits for what is being written, then closes. Updates after this reject. */
  async close(): Promise<void> {
    await this.flushed().catch(() => undefined);
    const database = this.#database;
    this.#database = undefined;
    await database?.close();
  }

  update<T>(change: (transaction: Transaction) => T): Promise<T> {
    const operations: Operation[] = [];
    const undo: Undo[] = [];
    let result: T;
    try {
      if (this.#database === undefined) throw new Failure('unavailable', 'metadata store is closed: unavailable');
      result = change(this.#transaction(operations, undo));
    } catch (error) {
      for (const step of undo.reverse()) step();
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (operations.length === 0) return Promise.resolve(result);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operations, undo, resolve: () => resolve(result), reject });
      this.#flushing ??= this.#flush();
    });
  }

  async flushed(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  #transaction(operations: Operation[], undo: Undo[]): Transaction {
    const apply = (table: Table<unknown>, namespace: string, key: string, record: unknown): void => {
      const memory = table as MemoryTable<unknown>;
      const before = memory.set(namespace, key, record);
      undo.push(() => void memory.set(namespace, key, before));
    };
    return {
      put: (table, namespace, key, record) => {
        const value = (table as unknown as MemoryTable<unknown>).codec.encode(record);
        operations.push({ type: 'put', key: joinKey(table.name, namespace, key), value });
        apply(table, namespace, key, record);
      },
      delete: (table, namespace, key) => {
        if (!table.has(namespace, key)) return;
        operations.push({ type: 'del', key: joinKey(table.name, namespace, key) });
        apply(table, namespace, key, undefined);
      },
    };
  }

  /** Writes all that waits in one synced batch, until nothing waits. */
  async #flush(): Promise<void> {
    // Transactions of the same tick share the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        if (this.#database === undefined) throw new Failure('unavailable', 'metadata store is closed: unavailable');
        await this.#database.batch(
          group.flatMap((waiting) => waiting.operations),
          { sync: true },
        );
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        await this.#fail([...group, ...this.#waiting.splice(0)], error);
      }
    }
    this.#flushing = undefined;
  }

  /**
   * The disk refused: undoes every transaction that is not durable, newest first, and opens the
   * database anew, since LevelDB takes no write after a failed one.
   */
  async #fail(group: readonly Waiting[], cause: unknown): Promise<void> {
    for (const waiting of group.toReversed()) for (const step of waiting.undo.toReversed()) step();
    const failure = writeFailure(cause);
    for (const waiting of group) waiting.reject(failure);
    try {
      await this.#database?.close();
      this.#database = await openDatabase(this.#folder);
    } catch {
      this.#database = undefined;
    }
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

function joinKey(table: string, namespace: string, key: string): string {
  if (namespace.includes(NUL) || key.includes(NUL))
    throw invalidArgument(`key ${JSON.stringify(key)} contains a NUL character`);
  return table + NUL + namespace + NUL + key;
}

function splitKey(key: string): string[] {
  return key.split(NUL);
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
    throw new Failure('internal', `open metadata in ${folder}: ${reason}`, { cause: error });
  }
  return database;
}

function writeFailure(cause: unknown): Failure {
  const text = cause instanceof Error ? cause.message : String(cause);
  if (/no space left|disk quota/i.test(text)) {
    return new Failure('resource exhausted', `write metadata: ${text}: resource exhausted`, { cause });
  }
  return cause instanceof Failure ? cause : new Failure('internal', `write metadata: ${text}`, { cause });
}
