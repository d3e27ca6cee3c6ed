// Which hosts mean this machine, or only its own link.
import { lookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { isIP } from 'node:net';
import { Failure } from '../../lib/errors.ts';

/** `localhost`, 127.0.0.0/8, ::1: plain http is fine there. */
export function isLoopback(hostname: string): boolean {
  const host = bare(hostname);
  return host === 'localhost' || host.endsWith('.localhost') || host.startsWith('127.') || host === '::1';
}

/** Addresses that no registry far away has a reason to send us to: loopback, link-local, unspecified. */
export function isLocalAddress(address: string): boolean {
  const plain = bare(address).replace(/^::ffff:/, '');
  return isIP(plain) === 4
    ? /^(127|0)\.|^169\.254\./.test(plain)
    : plain === '::1' || plain === '::' || /^fe[89ab]/.test(plain) || bare(address).startsWith('::ffff:');
}

function bare(hostname: string): string {
  return hostname.replace(/^\[|\]$/g, '').toLowerCase();
}

type Found = (error: NodeJS.ErrnoException | null, address: string | LookupAddress[], family?: number) => void;

/** dns.lookup() that finds no local addresses. */
export function lookupElsewhere(hostname: string, options: LookupOptions, callback: Found): void {
  lookup(hostname, options, (error, address, family) => {
    const all = Array.isArray(address) ? address.map((each) => each.address) : [address];
    if (error === null && all.some(isLocalAddress)) callback(refused(hostname), '', 0);
    else callback(error, address, family);
  });
}

/** Throws for a literal local address: those are not looked up. */
export function refuseLocal({ hostname }: URL): void {
  if (isLoopback(hostname) || (isIP(bare(hostname)) !== 0 && isLocalAddress(hostname))) throw refused(hostname);
}

function refused(hostname: string): Failure {
  return new Failure('permission denied', `redirected to "${hostname}", an address of this machine: permission denied`);
}
