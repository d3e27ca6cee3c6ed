// Platforms: which of an index's images are meant.

export interface Platform {
  readonly os: string;
  readonly architecture: string;
  readonly variant: string;
}

const ALIASES: Readonly<Record<string, readonly [architecture: string, variant: string]>> = {
  x86_64: ['amd64', ''],
  'x86-64': ['amd64', ''],
  i386: ['386', ''],
  aarch64: ['arm64', ''],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** Of one meaning one spelling: `arm64/v8` is `arm64`, `amd64/v1` is `amd64`, `arm` is `arm/v7`. */
export function normalizePlatform({ os, architecture, variant }: Platform): Platform {
  const [name, implied] = ALIASES[architecture.toLowerCase()] ?? [architecture.toLowerCase(), ''];
  const own = variant.toLowerCase().replace(/^(?=\d)/, 'v') || implied;
  const usual = (name === 'arm64' && own === 'v8') || (name === 'amd64' && own === 'v1');
  return {
    os: os.toLowerCase() || 'linux',
    architecture: name,
    variant: usual ? '' : name === 'arm' && own === '' ? 'v7' : own,
  };
}

export function samePlatform(a: Platform, b: Platform): boolean {
  return formatPlatform(a) === formatPlatform(b);
}

export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalizePlatform(platform);
  return variant === '' ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}
