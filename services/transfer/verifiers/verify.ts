// Image verifiers: programs that say whether an image may come in, in containerd's protocol.
//
// All programs of a folder are asked, in order of their names, the first that refuses decides:
//
//   PROGRAM -name NAME -digest DIGEST -stdin-media-type application/vnd.oci.descriptor.v1+json
//   standard input: the descriptor, as JSON; exit 0: yes; else: no, and standard output says why
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode, Failure } from '../../lib/errors.ts';
import type { Logger } from '../../lib/log.ts';
import type { Descriptor } from '../documents.ts';
import { runVerifier } from './program.ts';

export interface Verifiers {
  /**
   * Resolves when nobody objects. Throws `permission denied` with the program and its reason; whatever went
   * wrong when a program could not be asked: no answer is no permission.
   */
  verify(name: string, descriptor: Descriptor, signal: AbortSignal): Promise<void>;
}

export interface VerifiersDeps {
  /** When it does not exist, every image may come in. */
  readonly folder: string;
  /** As many programs are asked, the others are passed over with a warning; below 0: all. */
  readonly most: number;
  /** How long one may take, in milliseconds; then it is killed with all of its process group. */
  readonly timeout: number;
  readonly log: Logger;
}

const MEDIA_TYPE = 'application/vnd.oci.descriptor.v1+json';

export function createVerifiers({ folder, most, timeout, log }: VerifiersDeps): Verifiers {
  async function programs(): Promise<readonly string[]> {
    try {
      return (await readdir(folder)).sort();
    } catch (error) {
      if (errnoCode(error) === 'ENOENT') return [];
      throw new Failure('failed precondition', `image verifiers in ${folder}: ${text(error)}: failed precondition`, {
        cause: error,
      });
    }
  }

  return {
    async verify(name, descriptor, signal) {
      const found = await programs();
      const asked = most < 0 ? found : found.slice(0, most);
      if (asked.length < found.length) {
        log.warn('image verifiers passed over: more than max_verifiers', { folder, passed: found.slice(most) });
      }
      const { digest } = descriptor;
      const args = ['-name', name, '-digest', digest, '-stdin-media-type', MEDIA_TYPE];
      for (const program of asked) {
        const file = path.join(folder, program);
        const answer = await runVerifier(
          { file, args, input: `${JSON.stringify(descriptor)}\n`, timeout, log },
          signal,
        ).catch((error: unknown) => {
          signal.throwIfAborted();
          throw error instanceof Failure ? error.in(`blocking pull of ${name} with digest ${digest}`) : error;
        });
        if (answer.code === 0) continue;
        log.warn('image verifier blocked pull', { name, digest, verifier: file, reason: answer.reason });
        throw new Failure(
          'permission denied',
          `image verifier bindir blocked pull of ${name} with digest ${digest} for reason: ` +
            `verifier ${program} rejected image (exit code ${answer.code}): ${answer.reason}: permission denied`,
        );
      }
    },
  };
}

function text(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
