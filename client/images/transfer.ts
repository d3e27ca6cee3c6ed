// Pulling and pushing: the daemon does it; progress and questions come back over streams.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Progress } from '../../proto/gen/containerd.types.transfer.ts';
import { packMessage, unpackMessage } from '../any.ts';
import type { Client } from '../connect.ts';
import { isNotImplemented } from '../errors.ts';
import { openStream, type Stream } from '../streams.ts';
import type { Credentials } from './credentials.ts';
import { transferredBytes } from '../transferred.ts';
import { fromWire } from './resolve.ts';
import type { NamedImage } from './store.ts';
import { MEDIA, type Descriptor, type Index, type Platform } from './types.ts';

export interface RegistryOptions {
  /** The full name there. */
  readonly reference: string;
  /** Folder of hosts.toml files; undefined for the daemon's. */
  readonly hostsFolder?: string | undefined;
  readonly plainHttp?: boolean;
  /** Asked for each host that wants to know who we are. */
  credentials(host: string): Promise<Credentials | undefined>;
}

export interface TransferOptions {
  readonly progress?: (progress: Progress) => void;
}

export interface PullOptions extends TransferOptions {
  /** The image's name here. */
  readonly name: string;
  /** All when empty. */
  readonly platforms: readonly Platform[];
  readonly labels: Readonly<Record<string, string>>;
  /** Manifests and configs of other platforms too. */
  readonly allMetadata: boolean;
  /** Unpacks for the platforms; undefined only fetches. */
  readonly snapshotter: string | undefined;
}

export async function pullImage(client: Client, from: RegistryOptions, options: PullOptions): Promise<void> {
  const { name, platforms, labels, allMetadata, snapshotter } = options;
  const unpacks = snapshotter === undefined ? [] : platforms.map((platform) => ({ platform, snapshotter }));
  const store = packMessage(`${TYPES}.ImageStore`, { name, labels, platforms, all_metadata: allMetadata, unpacks });
  await withRegistry(client, from, (registry) => transfer(client, registry, store, options));
}

export interface ImportFileOptions extends TransferOptions {
  /** What mere tags are appended to. */
  readonly baseName: string;
  /** What is kept of the archive; all when empty. */
  readonly platforms: readonly Platform[];
  readonly labels: Readonly<Record<string, string>>;
  /** Undefined only imports. */
  readonly unpack: { readonly platform: Platform; readonly snapshotter: string } | undefined;
}

/**
 * Has the daemon read an archive where it is. Resolves with the images; undefined when this daemon cannot, or does
 * not see the file: then its bytes are to be sent.
 */
export async function importFile(
  client: Client,
  file: string,
  { baseName, platforms, labels, unpack, progress }: ImportFileOptions,
): Promise<NamedImage[] | undefined> {
  if (!client.address.startsWith('/')) return undefined;
  const { dev, ino } = await stat(file, { bigint: true });
  const source = { path: resolve(file), device: String(dev), inode: String(ino) };
  const named = { name: baseName, is_prefix: true, allow_overwrite: true };
  const store = { labels, platforms, unpacks: unpack === undefined ? [] : [unpack], extra_references: [named] };
  const images: NamedImage[] = [];
  const note = (step: Progress): void => {
    if (step.event === 'saved' && step.desc !== null) images.push({ name: step.name, target: fromWire(step.desc) });
    progress?.(step);
  };
  try {
    const packed = packMessage('davit.types.transfer.ImageImportFile', source);
    await transfer(client, packed, packMessage(`${TYPES}.ImageStore`, store), { progress: note });
  } catch (error) {
    if (isNotImplemented(error)) return undefined;
    throw error;
  }
  return images;
}

export interface PushOptions extends TransferOptions {
  /** The image's name here. */
  readonly name: string;
  readonly platforms: readonly Platform[];
}

export async function pushImage(client: Client, to: RegistryOptions, options: PushOptions): Promise<void> {
  const { name, platforms } = options;
  const store = packMessage(`${TYPES}.ImageStore`, { name, platforms });
  await withRegistry(client, to, (registry) => transfer(client, store, registry, options));
}

/**
 * What refers to an image in its registry: signatures, lists of parts. The daemon asks the registry's API of
 * referrers, or the tag that stands for it. Throws `not found` for no such image there.
 */
export async function listReferrers(client: Client, from: RegistryOptions): Promise<readonly Descriptor[]> {
  const chunks: Buffer[] = [];
  await withRegistry(client, from, async (source) => {
    for await (const chunk of transferredBytes(client, source, MEDIA.ociIndex)) chunks.push(chunk);
  });
  const { manifests } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Index;
  return manifests;
}

const TYPES = 'containerd.types.transfer';

type Packed = ReturnType<typeof packMessage>;

async function transfer(client: Client, source: Packed, destination: Packed, options: TransferOptions): Promise<void> {
  const { progress } = options;
  if (progress === undefined) return void (await client.transfer.Transfer({ source, destination }));
  const stream = await openStream(client, 'progress');
  const read = readProgress(stream, progress);
  try {
    await client.transfer.Transfer({ source, destination, options: { progress_stream: stream.id } });
    // The daemon has sent all and closed the stream.
    await read;
  } finally {
    stream.call.cancel();
    await read;
  }
}

async function readProgress({ call }: Stream, progress: (progress: Progress) => void): Promise<void> {
  try {
    for (let message = await call.receive(); message !== undefined; message = await call.receive()) {
      const known = unpackMessage(message);
      if (known !== undefined && message.type_url === `${TYPES}.Progress`) progress(known as Progress);
    }
  } catch {
    // The call itself says what went wrong.
  }
}

async function withRegistry(
  client: Client,
  options: RegistryOptions,
  work: (registry: Packed) => Promise<void>,
): Promise<void> {
  const { reference, hostsFolder = '', plainHttp = false } = options;
  const stream = await openStream(client, 'credentials');
  const failure = answerQuestions(stream, options);
  const resolver = { auth_stream: stream.id, host_dir: hostsFolder, default_scheme: plainHttp ? 'http' : '' };
  try {
    await work(packMessage(`${TYPES}.OCIRegistry`, { reference, resolver }));
  } catch (error) {
    stream.call.cancel();
    // That there were no credentials has a reason which only we know.
    throw (await failure) ?? error;
  } finally {
    stream.call.cancel();
    await failure;
  }
}

/** Resolves with what went wrong while looking for credentials. */
async function answerQuestions({ call }: Stream, options: RegistryOptions): Promise<unknown> {
  try {
    for (let message = await call.receive(); message !== undefined; message = await call.receive()) {
      const question: { readonly host?: string } | undefined = unpackMessage(message);
      let found: Credentials | undefined;
      try {
        found = await options.credentials(question?.host ?? '');
      } catch (error) {
        call.cancel();
        return error;
      }
      await call.send(packMessage(`${TYPES}.AuthResponse`, answerOf(found)));
    }
  } catch {
    // The call itself says what went wrong.
  }
  return undefined;
}

const AUTH = { NONE: 0, CREDENTIALS: 1, REFRESH: 2 } as const;

function answerOf(found: Credentials | undefined): object {
  if (found === undefined) return { authType: AUTH.NONE };
  const { username, secret } = found;
  return username === '' ? { authType: AUTH.REFRESH, secret } : { authType: AUTH.CREDENTIALS, username, secret };
}
