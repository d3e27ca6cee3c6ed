// Metadata: every record of the daemon, in typed tables.
//
// Words:
//   table        records of one kind; a record is found by (namespace, key) and never changed in
//                place: to change one, put another.
//   transaction  a synchronous function. JavaScript runs it to completion, so nobody sees half of
//                it, and no lock is ever held across I/O.
//   acknowledged the promise of update() has resolved: the change is on disk and survives a power
//                cut. Transactions that wait at the same moment share one disk sync.
//
// All records are kept in memory, and LevelDB is their durable form: reads are synchronous and cost
// no I/O. A read may see a change shortly before it is acknowledged; when the disk refuses it, the
// change and all that were built on it are undone and their update() calls reject.

export interface Codec<T> {
  encode(record: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

/** Reads of one table. Records must not be modified. */
export interface Table<T> {
  readonly name: string;
  get(namespace: string, key: string): T | undefined;
  has(namespace: string, key: string): boolean;
  /** All records of a namespace, in the order of their keys' bytes; a copy that later changes leave alone. */
  list(namespace: string): readonly (readonly [key: string, record: T])[];
  /** All records of a namespace in no order; they may be deleted while they are read. */
  entries(namespace: string): Iterable<readonly [key: string, record: T]>;
  size(namespace: string): number;
  /** Namespaces with at least one record, sorted. */
  namespaces(): readonly string[];
}

/** Changes of one transaction; visible to reads at once. */
export interface Transaction {
  /** Throws `invalid argument` for a namespace or key with a NUL character. */
  put<T>(table: Table<T>, namespace: string, key: string, record: T): void;
  /** Nothing happens when there is no such record. */
  delete<T>(table: Table<T>, namespace: string, key: string): void;
}

/**
 * Told of every change of a table: of transactions, of what is undone, and of what open() reads. For
 * indexes derived from the records; must not throw.
 */
export type Change<T> = (namespace: string, key: string, before: T | undefined, after: T | undefined) => void;

export interface Metadata {
  /** Declares a table. Once per name, before open(); `name` is part of the disk format. */
  table<T>(name: string, codec: Codec<T>, change?: Change<T>): Table<T>;
  /**
   * Runs `change` now and resolves with its result when that is durable. When `change` throws, nothing
   * of it remains and the promise rejects with that error. `resource exhausted` when the disk is full.
   */
  update<T>(change: (transaction: Transaction) => T): Promise<T>;
  /** `hook` runs in every transaction when it first puts a record into a namespace (other than ''). */
  whenWritten(hook: (transaction: Transaction, namespace: string) => void): void;
  /** `listener` is called after every transaction that changed something. */
  whenChanged(listener: () => void): void;
  /** Resolves when everything that is visible now is durable. */
  flushed(): Promise<void>;
}
