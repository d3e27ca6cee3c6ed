// containerd.services.transfer.v1: the types of source and destination say what is to be done.
import { findCodec } from '../../proto/messages.ts';
import {
  TransferName,
  type TransferRequest,
  type TransferService,
} from '../../proto/gen/containerd.services.transfer.v1.ts';
import type {
  ContainerPath,
  ImageExportStream,
  ImageImportStream,
  ImageStore,
  OCIRegistry,
  ReadStream,
  WriteStream,
} from '../../proto/gen/containerd.types.transfer.ts';
import type { ImageImportFile } from '../../proto/gen/davit.types.transfer.ts';
import type { Any } from '../../proto/gen/google.protobuf.ts';
import type { Copies } from '../copies/api.ts';
import type { Call } from '../grpc/call.ts';
import { registration, type Registration } from '../grpc/handlers.ts';
import { Failure, invalidArgument, notFound } from '../lib/errors.ts';
import type { Stream, Streams } from '../streaming/api.ts';
import type { RegistryPlace, Report, Transfers } from './api.ts';
import { openArchive } from './archive/open.ts';
import { askOver } from './ask.ts';
import { receiveBytes, sendBytes } from './bytes.ts';
import { platformFromWire, progressToWire, storeFromWire } from './convert.ts';
import { MEDIA } from './documents.ts';

const PREFIX = 'containerd.types.transfer.';

/** Progress that a client has not read yet; more is dropped, except for what is the last of its kind. */
const MOST_UNREAD = 256;

export interface TransferServiceDeps {
  readonly transfers: Transfers;
  readonly copies: Copies;
  readonly streams: Streams;
}

export function createTransferService({ transfers, copies, streams }: TransferServiceDeps): Registration {
  return registration<TransferService>(TransferName, {
    async Transfer(request, call) {
      const namespace = call.namespace();
      const taken: Stream[] = [];
      const take = (id: string): Stream => {
        const stream = streams.get(namespace, id);
        taken.push(stream);
        return stream;
      };
      try {
        const reports = reporting(request, take);
        await run({ transfers, copies }, request, call, take, reports.report);
        await reports.sent();
      } finally {
        for (const stream of taken) stream.close();
      }
      return {};
    },
  });
}

type Take = (id: string) => Stream;

async function run(
  { transfers, copies }: Pick<TransferServiceDeps, 'transfers' | 'copies'>,
  request: TransferRequest,
  call: Call,
  take: Take,
  report: Report,
): Promise<void> {
  const scope = { namespace: call.namespace(), lease: call.lease };
  const [source, destination] = [typeOf(request.source), typeOf(request.destination)];
  const pair = `${source} ${destination}`;
  const from = <T>(): T => decode<T>(request.source);
  const to = <T>(): T => decode<T>(request.destination);
  switch (pair) {
    case 'OCIRegistry ImageStore': {
      const place = registryPlace(from<OCIRegistry>(), take);
      return await transfers.pull(scope, place, storeFromWire(to<ImageStore>()), report, call.signal);
    }
    case 'ImageStore OCIRegistry': {
      const place = registryPlace(to<OCIRegistry>(), take);
      return await transfers.push(scope, storeFromWire(from<ImageStore>()), place, report, call.signal);
    }
    case 'OCIRegistry WriteStream': {
      const { stream, media_type: type } = to<WriteStream>();
      if (type !== MEDIA.ociIndex) throw invalidArgument(`media type "${type}" of referrers is not ${MEDIA.ociIndex}`);
      const output = take(stream);
      const place = registryPlace(from<OCIRegistry>(), take);
      return await transfers.referrers(place, (bytes) => sendBytes(output, bytes), call.signal);
    }
    case 'ImageImportStream ImageStore': {
      const { stream, force_compress: compress } = from<ImageImportStream>();
      const archive = { bytes: receiveBytes(take(stream)), compress };
      return await transfers.import(scope, archive, storeFromWire(to<ImageStore>()), report, call.signal);
    }
    case 'davit.types.transfer.ImageImportFile ImageStore': {
      const { force_compress: compress, ...named } = from<ImageImportFile>();
      await using archive = await openArchive(named);
      return await transfers.import(
        scope,
        { ...archive, compress },
        storeFromWire(to<ImageStore>()),
        report,
        call.signal,
      );
    }
    case 'ImageStore ImageExportStream': {
      const wire = to<ImageExportStream>();
      const stream = take(wire.stream);
      const archive = {
        platforms: wire.all_platforms ? [] : wire.platforms.map(platformFromWire),
        skipDockerManifest: wire.skip_compatibility_manifest,
        skipNonDistributable: wire.skip_non_distributable,
        send: (bytes: AsyncIterable<Uint8Array>) => sendBytes(stream, bytes),
      };
      return await transfers.export(scope, storeFromWire(from<ImageStore>()), archive, report);
    }
    case 'ImageImportStream ImageExportStream':
      return await sendBytes(
        take(to<ImageExportStream>().stream),
        receiveBytes(take(from<ImageImportStream>().stream)),
      );
    case 'ImageStore ImageStore':
      return await transfers.tag(scope, storeFromWire(from<ImageStore>()), storeFromWire(to<ImageStore>()));
    case 'ContainerPath WriteStream': {
      const { stream, media_type: type } = to<WriteStream>();
      const place = containerPlace(from<ContainerPath>(), type);
      const output = take(stream);
      return await copies.read(scope.namespace, place, (bytes) => sendBytes(output, bytes), call.signal);
    }
    case 'ReadStream ContainerPath': {
      const { stream, media_type: type } = from<ReadStream>();
      const place = containerPlace(to<ContainerPath>(), type);
      return await copies.write(scope.namespace, place, receiveBytes(take(stream)), call.signal);
    }
    default:
      throw new Failure(
        'not implemented',
        `method Transfer not implemented for ${request.source?.type_url ?? ''} to ${request.destination?.type_url ?? ''}`,
      );
  }
}

/** What is copied travels as a tar archive; one that comes may be compressed. */
function containerPlace(wire: ContainerPath, mediaType: string) {
  if (mediaType !== '' && !/^application\/[a-z0-9.+-]*\btar\b/.test(mediaType))
    throw invalidArgument(`media type "${mediaType}" of a container's files is not a tar archive's`);
  const { container_id: container, path, no_walk: alone, preserve_ownership: preserve } = wire;
  return { container, path, walk: !alone, preserve };
}

function registryPlace({ reference, resolver }: OCIRegistry, take: Take): RegistryPlace {
  const stream = resolver?.auth_stream ? take(resolver.auth_stream) : undefined;
  return {
    reference,
    headers: headersOf(resolver?.headers ?? {}),
    hostsFolder: resolver?.host_dir ?? '',
    defaultScheme: resolver?.default_scheme ?? '',
    credentials: stream === undefined ? () => Promise.resolve(undefined) : askOver(stream, reference),
  };
}

function headersOf(wire: Readonly<Record<string, string>>): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(wire)) {
    if (!/^[A-Za-z0-9-]+$/.test(name) || /[\r\n]/.test(value)) throw invalidArgument(`header "${name}"`);
    headers[name.toLowerCase()] = value;
  }
  return headers;
}

/** Sends progress as fast as the client takes it, and never waits for the client. */
function reporting({ options }: TransferRequest, take: Take): { report: Report; sent(): Promise<void> } {
  if (!options?.progress_stream) return { report: () => undefined, sent: () => Promise.resolve() };
  const stream = take(options.progress_stream);
  let unread = 0;
  let last: Promise<void> = Promise.resolve();
  return {
    report(progress) {
      const passing = progress.event === 'downloading' || progress.event === 'uploading';
      if (unread >= MOST_UNREAD && passing) return;
      unread++;
      last = send(stream, progressToWire(progress)).finally(() => unread--);
    },
    sent: () => last,
  };
}

async function send(stream: Stream, message: Any): Promise<void> {
  try {
    await stream.send(message);
  } catch {
    // A client that has closed its progress does not want it.
  }
}

function typeOf(any: Any | null): string {
  if (any === null) throw invalidArgument('source and destination are required');
  return any.type_url.startsWith(PREFIX) ? any.type_url.slice(PREFIX.length) : any.type_url;
}

function decode<T>(any: Any | null): T {
  const found = any === null ? undefined : findCodec<T>(any.type_url);
  if (any === null || found === undefined) throw notFound(`type ${any?.type_url ?? ''}`);
  try {
    return found.decode(any.value);
  } catch (error) {
    throw invalidArgument(`${any.type_url}: ill-formed`, { cause: error });
  }
}
