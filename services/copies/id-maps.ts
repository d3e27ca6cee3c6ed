// How a container's ids are shown to the host.

/** Each `inside:outside:size[,...]`. */
export interface IdMaps {
  readonly uids: string;
  readonly gids: string;
}

interface Range {
  readonly containerID?: number;
  readonly hostID?: number;
  readonly size?: number;
}

/** Of an OCI spec, as JSON; null when it maps none, or is none. */
export function idMapsOf(spec: Uint8Array): IdMaps | null {
  let linux: { readonly uidMappings?: readonly Range[]; readonly gidMappings?: readonly Range[] } | undefined;
  try {
    ({ linux } = JSON.parse(Buffer.from(spec).toString('utf8')) as { linux?: typeof linux });
  } catch {
    // Other runtimes have other specs.
    return null;
  }
  const [uids, gids] = [text(linux?.uidMappings), text(linux?.gidMappings)];
  return uids === '' || gids === '' ? null : { uids, gids };
}

function text(ranges: readonly Range[] | undefined): string {
  return (ranges ?? []).map(({ containerID = 0, hostID = 0, size = 0 }) => `${containerID}:${hostID}:${size}`).join();
}
