// Credentials are the client's: each registry host that wants some is asked for over the client's stream.
import { codec } from '../../proto/messages.ts';
import { AuthType, type AuthResponse } from '../../proto/gen/containerd.types.transfer.ts';
import { Failure, invalidArgument } from '../lib/errors.ts';
import type { Stream } from '../streaming/api.ts';
import type { Credentials } from './registry/auth.ts';

const request = codec('containerd.types.transfer.AuthRequest');
const response = codec<AuthResponse>('containerd.types.transfer.AuthResponse');

/** How long a person may take to answer, and a client that does not know how to. */
const ANSWER_MS = 60_000;

export type AskCredentials = (host: string, challenges: readonly string[]) => Promise<Credentials | undefined>;

/** One question at a time: answers do not say which question they are for. */
export function askOver(stream: Stream, reference: string): AskCredentials {
  let last: Promise<unknown> = Promise.resolve();
  const ask = async (host: string, challenges: readonly string[]): Promise<Credentials | undefined> => {
    const question = { host, reference, wwwauthenticate: challenges };
    await stream.send({ type_url: request.name, value: request.encode(question) });
    const timer = setTimeout(() => stream.close(), ANSWER_MS);
    try {
      const answer = await stream.receive();
      if (answer === undefined) {
        throw new Failure('unauthenticated', `client gave no credentials for ${host}: unauthenticated`);
      }
      if (answer.type_url !== response.name) throw invalidArgument(`answer on the auth stream is ${answer.type_url}`);
      return credentialsOf(response.decode(answer.value));
    } finally {
      clearTimeout(timer);
    }
  };
  return (host, challenges) => {
    const answer = last.then(() => ask(host, challenges));
    last = answer.catch(() => undefined);
    return answer;
  };
}

function credentialsOf({ authType, username, secret }: AuthResponse): Credentials | undefined {
  if (secret === '' && username === '') return undefined;
  switch (authType) {
    case AuthType.CREDENTIALS:
      return { kind: 'password', username, secret };
    case AuthType.REFRESH:
      return { kind: 'refresh', token: secret };
    case AuthType.HEADER:
      if (/[\r\n]/.test(secret)) throw invalidArgument('header on the auth stream');
      return { kind: 'header', value: secret };
    default:
      return undefined;
  }
}
