// containerd.services.content.v1: decode, one call, encode. Write is in write.ts.
import { ContentName, type ContentService } from '../../proto/gen/containerd.services.content.v1.ts';
import type { Call } from '../grpc/call.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { parseDigest } from '../lib/digest.ts';
import { Failure, invalidArgument } from '../lib/errors.ts';
import { labelsFromWire } from '../lib/labels.ts';
import type { Scope } from '../leases/api.ts';
import type { Content } from './api.ts';
import { infoToWire, statusToWire } from './convert.ts';
import { writeContent } from './write.ts';

/** Size of the pieces in which blobs are sent. */
const PIECE = 1 << 20;
/** Infos in one message of a list. */
const BATCH = 100;

export function createContentService(content: Content): Registration {
  return registration<ContentService>(ContentName, {
    Info({ digest }, call) {
      validateDigest(digest, () => `"${digest}" failed validation`);
      return { info: infoToWire(content.info(call.namespace(), digest)) };
    },
    async Update({ info, update_mask }, call) {
      if (info === null) throw invalidArgument('info is required');
      validateDigest(info.digest, () => `"${info.digest}" failed validation`);
      const updated = await content.update(
        call.namespace(),
        info.digest,
        labelsFromWire(info.labels),
        update_mask?.paths ?? [],
      );
      return { info: infoToWire(updated) };
    },
    async *List({ filters }, call) {
      const all = content.list(call.namespace(), filters);
      for (let sent = 0; sent < all.length; sent += BATCH)
        yield { info: all.slice(sent, sent + BATCH).map(infoToWire) };
    },
    async Delete({ digest }, call) {
      validateDigest(digest, (problem) => problem);
      await content.delete(scopeOf(call), digest);
      return {};
    },
    async *Read({ digest, offset, size }, call) {
      validateDigest(digest, (problem) => `${digest}: ${problem}`);
      const info = content.info(call.namespace(), digest);
      const start = Math.max(0, Number(offset));
      if (start > info.size) throw new Failure('out of range', `read past object length ${info.size} bytes`);
      const wanted = Number(size);
      const end = wanted <= 0 ? info.size : Math.min(start + wanted, info.size);
      await using blob = await content.open(call.namespace(), digest);
      for (let position = start; position < end;) {
        const data = await blob.read(position, Math.min(PIECE, end - position));
        if (data.length === 0)
          throw new Failure('data loss', `content ${digest} ends at ${position} of ${info.size} bytes: data loss`);
        yield { offset: String(position - start), data };
        position += data.length;
      }
    },
    async Status({ ref }, call) {
      try {
        return { status: statusToWire(await content.status(call.namespace(), ref)) };
      } catch (error) {
        throw error instanceof Failure ? error.in(`could not get status for ref "${ref}"`) : error;
      }
    },
    async ListStatuses({ filters }, call) {
      return { statuses: (await content.statuses(call.namespace(), filters)).map(statusToWire) };
    },
    Write: (requests, call) => writeContent(content, requests, call),
    async Abort({ ref }, call) {
      await content.abort(scopeOf(call), ref);
      return {};
    },
  });
}

function validateDigest(digest: string, describe: (problem: string) => string): void {
  const parsed = parseDigest(digest);
  if (typeof parsed === 'string') throw new Failure('invalid argument', describe(parsed));
}

export function scopeOf(call: Call): Scope {
  return { namespace: call.namespace(), lease: call.lease };
}
