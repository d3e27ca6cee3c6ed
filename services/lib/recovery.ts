// What a start found of an earlier daemon and what became of it: logged as it happens, and kept for
// whoever asks.
import type { Logger } from './log.ts';

export interface Finding {
  /** What was found: `task`, `bundle`, `mount`, `snapshot`, `ingest`, `shim socket`. */
  readonly what: string;
  /** Empty where it has none. */
  readonly namespace: string;
  readonly id: string;
  /** One word for what became of it: `reconnected`, `lost`, `silent`, `removed`. */
  readonly outcome: string;
  /** For people. */
  readonly detail: string;
}

export interface Recovery {
  readonly startedAt: Date;
  readonly findings: readonly Finding[];
  /** Findings that were logged but not kept: there are too many. */
  readonly dropped: number;
  add(finding: Finding): void;
}

const MAX_KEPT = 5000;

export function createRecovery(log: Logger): Recovery {
  const findings: Finding[] = [];
  let dropped = 0;
  return {
    startedAt: new Date(),
    findings,
    get dropped() {
      return dropped;
    },
    add(finding) {
      const { what, namespace, id, outcome, detail } = finding;
      const fields = { ...(namespace === '' ? {} : { namespace }), id, detail };
      const text = `recovery: ${what} ${outcome}`;
      if (outcome === 'reconnected' || outcome === 'removed') log.info(text, fields);
      else log.warn(text, fields);
      if (findings.length < MAX_KEPT) findings.push(finding);
      else dropped++;
    },
  };
}
