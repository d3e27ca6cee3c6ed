// Addresses as people and programs write them.

/**
 * What grpc-js dials: `/run/x.sock` and `unix:///run/x.sock` become `unix:/run/x.sock`;
 * `tcp://host:port` becomes `host:port`.
 */
export function dialTarget(address: string): string {
  if (address.startsWith('unix://')) return `unix:${address.slice('unix://'.length)}`;
  if (address.startsWith('unix:') || address.startsWith('dns:')) return address;
  if (address.startsWith('tcp://')) return address.slice('tcp://'.length);
  return address.includes('/') ? `unix:${address}` : address;
}

/** The path of a socket address; undefined for TCP. */
export function socketPath(address: string): string | undefined {
  const target = dialTarget(address);
  return target.startsWith('unix:') ? target.slice('unix:'.length) : undefined;
}
