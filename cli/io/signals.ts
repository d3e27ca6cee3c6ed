// Signals: those that reach us while a process runs in the foreground are meant for it.
import { constants } from 'node:os';

const FORWARDED = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGTERM', 'SIGALRM', 'SIGCONT'] as const;

/** Calls back with the number of each signal until stopped. */
export function onSignals(callback: (signal: number) => void): () => void {
  const listeners = FORWARDED.map((name) => {
    const listener = (): void => callback(constants.signals[name]);
    process.on(name, listener);
    return () => process.off(name, listener);
  });
  return () => {
    for (const stop of listeners) stop();
  };
}

/** `9`, `KILL`, `SIGKILL`, `RTMIN+3`. Throws for what is no signal. */
export function parseSignal(text: string): number {
  const rt = /^(?:SIG)?RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(text.toUpperCase());
  if (rt !== null) {
    const number = (rt[1] === 'MIN' ? 34 : 64) + (rt[2] === '-' ? -1 : 1) * Number(rt[3] ?? 0);
    if (number >= 34 && number <= 64) return number;
  }
  const known: Readonly<Record<string, number>> = constants.signals;
  const number = /^\d+$/.test(text) ? Number(text) : known[text.toUpperCase().replace(/^(?!SIG)/, 'SIG')];
  if (number === undefined || number < 1 || number > 64) throw new Error(`signal "${text}": no such signal`);
  return number;
}
