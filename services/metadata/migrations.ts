// Changes of the metadata layout. MIGRATIONS[n] turns version n into version n + 1, in place, and
// must be safe to run again after a crash in its middle.
import type { Level } from 'level';

export const SCHEMA_VERSION = 1;

export const MIGRATIONS: Readonly<Record<number, (database: Level<string, Uint8Array>) => Promise<void>>> = {};
