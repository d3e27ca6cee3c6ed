// The Write method: one writer for one stream. The first message opens it; each message is answered;
// COMMIT ends it. A client that goes away leaves the ingest, for whoever comes back.
import {
  WriteAction,
  type WriteContentRequest,
  type WriteContentResponse,
} from '../../proto/gen/containerd.services.content.v1.ts';
import type { Input } from '../../proto/rpc.ts';
import type { Call } from '../grpc/call.ts';
import { Failure } from '../lib/errors.ts';
import { labelsFromWire } from '../lib/labels.ts';
import { instantToWire } from '../lib/time.ts';
import type { Content, Writer } from './api.ts';

/** What the client expects of the blob; later messages may change it. */
interface Expectation {
  total: number;
  digest: string;
}

export async function* writeContent(
  content: Content,
  requests: AsyncIterable<WriteContentRequest>,
  call: Call,
): AsyncGenerator<Input<WriteContentResponse>> {
  const incoming = requests[Symbol.asyncIterator]();
  const first = await incoming.next();
  if (first.done === true) return;
  const { ref, expected } = first.value;
  if (ref === '') throw new Failure('invalid argument', 'first message must have a reference');
  const scope = { namespace: call.namespace(), lease: call.lease };
  const expectation: Expectation = { total: sizeOf(first.value.total), digest: expected };
  await using writer = await content.writer(scope, { ref, expected, total: expectation.total });
  for (let next: IteratorResult<WriteContentRequest> = first; next.done !== true; next = await incoming.next()) {
    const request = next.value;
    await refuseKnownBlob(content, request, writer, scope);
    if (request.expected !== '') expectation.digest = request.expected;
    if (sizeOf(request.total) > 0) expectation.total = sizeOf(request.total);
    await answerable(request, writer, expectation);
    yield response(request, writer, expectation);
    if (request.action === WriteAction.COMMIT) return;
  }
}

/** A size that no blob has counts as the largest one that a number holds. */
function sizeOf(text: string): number {
  return Math.min(Math.max(0, Number(text)), Number.MAX_SAFE_INTEGER);
}

/** Between two messages somebody else may have made the blob. */
async function refuseKnownBlob(
  content: Content,
  { expected }: WriteContentRequest,
  writer: Writer,
  scope: { namespace: string; lease: string | undefined },
): Promise<void> {
  if (expected === '' || !content.has(scope.namespace, expected)) return;
  const { ref } = writer.status;
  await writer.close();
  await content.abort(scope, ref);
  throw new Failure('already exists', `blob with expected digest ${expected} exists`);
}

async function answerable(request: WriteContentRequest, writer: Writer, expectation: Expectation): Promise<void> {
  // An action that this daemon does not know must not touch what is written.
  if (request.action !== WriteAction.WRITE && request.action !== WriteAction.COMMIT) return;
  const offset = Number(request.offset);
  const current = writer.status.offset;
  if (offset > 0 && offset !== current) {
    throw new Failure('out of range', `write @${request.offset} must occur at current offset ${current}`);
  }
  if (offset === 0 && current > 0) await writer.truncate();
  if (request.data.length > 0) await writer.write(request.data);
  if (request.action === WriteAction.COMMIT) {
    await writer.commit({
      size: expectation.total,
      expected: expectation.digest,
      labels: labelsFromWire(request.labels),
    });
  }
}

function response(
  { action }: WriteContentRequest,
  writer: Writer,
  expectation: Expectation,
): Input<WriteContentResponse> {
  const { offset, started, updated } = writer.status;
  return {
    action,
    offset: String(offset),
    digest: writer.digest(),
    total: String(expectation.total),
    started_at: instantToWire(started),
    updated_at: instantToWire(updated),
  };
}
