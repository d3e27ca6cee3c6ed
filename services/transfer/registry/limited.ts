// Bodies that are documents: small by their nature, so that more is an attack.
import { Failure } from '../../lib/errors.ts';

/** Throws `resource exhausted` for more than `max` bytes; `what` begins the message. */
export async function readLimited(body: AsyncIterable<Buffer>, max: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > max) throw new Failure('resource exhausted', `${what}: more than ${max} bytes: resource exhausted`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
