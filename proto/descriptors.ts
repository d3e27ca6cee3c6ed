// The descriptor bundles that scripts/gen.mjs writes.
import { readFileSync } from 'node:fs';

export type Bundle = 'containerd' | 'cri' | 'nri';

const bundles = new Map<Bundle, object>();

/** A bundle as protobufjs's JSON. */
export function descriptors(bundle: Bundle): object {
  let json = bundles.get(bundle);
  if (json === undefined) {
    json = JSON.parse(readFileSync(new URL(`./gen/${bundle}.json`, import.meta.url), 'utf8')) as object;
    bundles.set(bundle, json);
  }
  return json;
}
