// The service definitions that @grpc/grpc-js's server takes. Messages alone are in messages.ts.
import { fromJSON, type Options, type PackageDefinition } from '@grpc/proto-loader';
import { descriptors, type Bundle } from './messages.ts';

export { codec, findCodec, type Bundle, type MessageCodec } from './messages.ts';

/** How messages look in TypeScript; what scripts/gen.mjs writes types for. */
const OPTIONS: Options = { keepCase: true, longs: String, enums: Number, defaults: true, oneofs: false };

const definitions = new Map<Bundle, PackageDefinition>();

/** Service and message definitions of a bundle, by full name, for grpc-js. */
export function packageDefinition(bundle: Bundle): PackageDefinition {
  let definition = definitions.get(bundle);
  if (definition === undefined) {
    definition = fromJSON(descriptors(bundle), OPTIONS);
    definitions.set(bundle, definition);
  }
  return definition;
}
