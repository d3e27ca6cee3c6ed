// Identifiers: the rule for namespaces, containers, tasks, execs, sandboxes and topic components.
// Source: containerd's identifier rule (at most 76 characters, alphanumeric runs joined by . _ -).
import { Failure, invalidArgument } from './errors.ts';

const MAX_LENGTH = 76;
const PATTERN = /^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$/;

/** Throws `invalid argument` unless `id` may name something. `owner`, where given, begins the message: `container.ID`. */
export function validateIdentifier(id: string, owner?: string): void {
  try {
    validate(id);
  } catch (error) {
    throw error instanceof Failure && owner !== undefined ? error.in(owner) : error;
  }
}

function validate(id: string): void {
  if (id.length === 0) throw invalidArgument('identifier must not be empty');
  if (id.length > MAX_LENGTH) {
    throw invalidArgument(`identifier "${id}" greater than maximum length (${MAX_LENGTH} characters)`);
  }
  if (!PATTERN.test(id)) throw invalidArgument(`identifier "${id}" must match ${PATTERN.source}`);
}
