// Platforms: `linux/arm64/v8` as text, and which of an index's images suits one.
import type { Platform } from './types.ts';

/** Node's names onto Go's, which images use. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
};

/** What people write onto what images say. */
const ALIASES: Readonly<Record<string, readonly [string, string?]>> = {
  x86_64: ['amd64'],
  'x86-64': ['amd64'],
  i386: ['386'],
  aarch64: ['arm64'],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

export function hostPlatform(): Platform {
  return { os: 'linux', architecture: ARCHITECTURES[process.arch] ?? process.arch };
}

/** `linux/amd64`, `arm64`, `linux/arm/v7`. Throws for anything else. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new Error(`platform "${text}": not of the form OS/ARCHITECTURE[/VARIANT]`);
  }
  const [first = '', second, third] = parts;
  const [os, name] =
    second === undefined ? (isOs(first) ? [first, hostPlatform().architecture] : ['linux', first]) : [first, second];
  const [architecture, aliasVariant] = ALIASES[name] ?? [name];
  const variant = third ?? aliasVariant;
  return variant === undefined ? { os, architecture } : { os, architecture, variant };
}

export function formatPlatform(platform: Platform): string {
  return [platform.os, platform.architecture, ...(platform.variant ? [platform.variant] : [])].join('/');
}

/**
 * How well an image for `offered` runs on `wanted`: 0 not at all, higher is better. arm64 runs arm
 * images, amd64 runs 386 ones, and a later variant runs an earlier one's.
 */
export function platformMatch(wanted: Platform, offered: Platform): number {
  if (wanted.os !== offered.os) return 0;
  if (wanted.architecture === offered.architecture) {
    const [want, offer] = [variantNumber(wanted), variantNumber(offered)];
    return offer > want ? 0 : 100 + offer;
  }
  if (wanted.architecture === 'arm64' && offered.architecture === 'arm') return 50 + variantNumber(offered);
  if (wanted.architecture === 'amd64' && offered.architecture === '386') return 50;
  return 0;
}

function variantNumber(platform: Platform): number {
  const usual =
    platform.architecture === 'arm64'
      ? 8
      : platform.architecture === 'arm'
        ? 7
        : platform.architecture === 'amd64'
          ? 1
          : 0;
  return platform.variant === undefined || platform.variant === ''
    ? usual
    : Number(platform.variant.replace(/^v/, '')) || 0;
}

function isOs(text: string): boolean {
  return ['linux', 'windows', 'darwin', 'freebsd'].includes(text);
}
