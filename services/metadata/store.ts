// The metadata store: tables in memory over LevelDB on disk.
//
// Schema (keys are UTF-8, the parts joined by one NUL byte):
//
//   @version                            decimal number of the layout, SCHEMA_VERSION
//   <table> NUL <namespace> NUL <key>   the record, as the table's codec writes it
//
// Every slice names its tables in its README. Raise SCHEMA_VERSION and add a migration with every
// change of the layout or of a codec that old records do not satisfy.
import { Failure, invalidArgument } from '../lib/errors.ts';
import type { Change, Codec, Metadata, Table, Transaction } from './api.ts';
import { MetadataDatabase, type Operation } from './database.ts';
import { MemoryTable } from './table.ts';

type Undo = () => void;
type Hook = (transaction: Transaction, namespace: string) => void;

const NUL = '\0';

/** One transaction that waits for the disk. */
interface Waiting {
  readonly operations: readonly Operation[];
  readonly undo: readonly Undo[];
  resolve(): void;
  reject(error: unknown): void;
}

export class MetadataStore implements Metadata {
  readonly #tables = new Map<string, MemoryTable<unknown>>();
  readonly #database: MetadataDatabase;
  readonly #hooks: Hook[] = [];
  readonly #listeners: (() => void)[] = [];
  #state: 'new' | 'open' | 'closed' = 'new';
  #waiting: Waiting[] = [];
  #flushing: Promise<void> | undefined;

  constructor(folder: string) {
    this.#database = new MetadataDatabase(folder, (key) => this.#encoded(key));
  }

  table<T>(name: string, codec: Codec<T>, change?: Change<T>): Table<T> {
    if (this.#tables.has(name) || this.#state !== 'new') throw new Error(`table ${name} declared twice or too late`);
    const table = new MemoryTable<T>(name, codec, change);
    this.#tables.set(name, table as unknown as MemoryTable<unknown>);
    return table;
  }

  whenWritten(hook: Hook): void {
    this.#hooks.push(hook);
  }

  whenChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  /**
   * Opens the database, migrates it when it is older, and reads every record.
   * Throws `failed precondition` when another daemon has it open or a newer davit wrote it.
   */
  async open(): Promise<void> {
    await this.#database.open();
    for await (const entries of this.#database.records()) {
      for (const [key, value] of entries) this.#load(key, value);
    }
    this.#state = 'open';
  }

  #load(key: string, value: Uint8Array): void {
    const [table, namespace, name] = this.#resolve(key);
    try {
      table?.set(namespace, name, table.codec.decode(value));
    } catch (error) {
      throw new Failure('data loss', `metadata record ${JSON.stringify(key)} cannot be read: data loss`, {
        cause: error,
      });
    }
  }

  /** Waits for what is being written, then closes. Updates after this reject. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.flushed();
    await this.#database.stop();
  }

  update<T>(change: (transaction: Transaction) => T): Promise<T> {
    const operations: Operation[] = [];
    const undo: Undo[] = [];
    let result: T;
    try {
      if (this.#state !== 'open') throw new Failure('unavailable', 'metadata store is closed: unavailable');
      result = change(this.#transaction(operations, undo));
    } catch (error) {
      for (const step of undo.reverse()) step();
      return Promise.reject(error instanceof Error ? error : new Error(String(error)));
    }
    if (operations.length === 0) return Promise.resolve(result);
    const durable = new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operations, undo, resolve: () => resolve(result), reject });
      this.#flushing ??= this.#flush();
    });
    for (const listener of this.#listeners) listener();
    return durable;
  }

  async flushed(): Promise<void> {
    while (this.#flushing !== undefined) await this.#flushing;
  }

  #transaction(operations: Operation[], undo: Undo[]): Transaction {
    const written = new Set<string>(['']);
    const apply = (table: Table<unknown>, namespace: string, key: string, record: unknown): void => {
      const memory = table as MemoryTable<unknown>;
      const before = memory.set(namespace, key, record);
      undo.push(() => void memory.set(namespace, key, before));
    };
    const transaction: Transaction = {
      put: (table, namespace, key, record) => {
        const value = (table as unknown as MemoryTable<unknown>).codec.encode(record);
        operations.push({ type: 'put', key: joinKey(table.name, namespace, key), value });
        apply(table, namespace, key, record);
        if (written.has(namespace)) return;
        written.add(namespace);
        for (const hook of this.#hooks) hook(transaction, namespace);
      },
      delete: (table, namespace, key) => {
        if (!table.has(namespace, key)) return;
        operations.push({ type: 'del', key: joinKey(table.name, namespace, key) });
        apply(table, namespace, key, undefined);
      },
    };
    return transaction;
  }

  /** Writes all that waits in one synced batch, until nothing waits. */
  async #flush(): Promise<void> {
    // Transactions of the same tick share the first batch.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      const group = this.#waiting;
      this.#waiting = [];
      try {
        await this.#database.write(group.flatMap((waiting) => waiting.operations));
        for (const waiting of group) waiting.resolve();
      } catch (error) {
        this.#undo([...group, ...this.#waiting.splice(0)], error);
      }
    }
    this.#flushing = undefined;
  }

  /** The disk refused: undoes every transaction that is not durable, newest first. */
  #undo(group: readonly Waiting[], error: unknown): void {
    for (const waiting of group.toReversed()) for (const step of waiting.undo.toReversed()) step();
    for (const waiting of group) waiting.reject(error);
  }

  /** What memory holds for a key of the database, encoded; undefined when it holds nothing. */
  #encoded(key: string): Uint8Array | undefined {
    const [table, namespace, name] = this.#resolve(key);
    const record = table?.get(namespace, name);
    return record === undefined ? undefined : table?.codec.encode(record);
  }

  #resolve(key: string): [table: MemoryTable<unknown> | undefined, namespace: string, name: string] {
    const [tableName, namespace, name] = key.split(NUL);
    if (tableName === undefined || namespace === undefined || name === undefined) return [undefined, '', ''];
    return [this.#tables.get(tableName), namespace, name];
  }
}

function joinKey(table: string, namespace: string, key: string): string {
  if (namespace.includes(NUL) || key.includes(NUL))
    throw invalidArgument(`key ${JSON.stringify(key)} contains a NUL character`);
  return table + NUL + namespace + NUL + key;
}
