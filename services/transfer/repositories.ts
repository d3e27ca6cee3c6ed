// Opens a registry's repository as a transfer names it.
import { invalidArgument } from '../lib/errors.ts';
import { parseReference, type Reference } from '../lib/references.ts';
import type { RegistryPlace } from './api.ts';
import { createRepository, type Repository } from './registry/client.ts';

export interface RepositoriesOptions {
  /** Folders in certs.d's layout, where a transfer names none. */
  readonly folders: readonly string[];
  /** Of the daemon: proxies, certificates. */
  readonly environment: NodeJS.ProcessEnv;
}

/** Who opens a repository closes it. Throws `invalid argument`. */
export type OpenRepository = (place: RegistryPlace) => {
  readonly repository: Repository;
  readonly reference: Reference;
};

export function createRepositories({ folders, environment }: RepositoriesOptions): OpenRepository {
  return (place) => {
    const reference = parseReference(place.reference);
    const repository = createRepository(reference, {
      folders: place.hostsFolder === '' ? folders : [place.hostsFolder],
      defaultScheme: schemeOf(place.defaultScheme),
      environment,
      headers: place.headers,
      credentials: (host, challenges) => place.credentials(host, challenges),
    });
    return { repository, reference };
  };
}

function schemeOf(text: string): 'http' | 'https' | undefined {
  if (text === '') return undefined;
  if (text === 'http' || text === 'https') return text;
  throw invalidArgument(`scheme "${text}" is neither http nor https`);
}
