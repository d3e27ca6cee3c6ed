import type { RuntimeInfo } from '../../../proto/gen/containerd.types.ts';
import { packMessage, unpackMessage } from '../../../client/any.ts';
import { parseJson } from '../../../spec/json.ts';
import { flag } from '../../args/flags.ts';
import { define } from '../../command.ts';
import { jsonText, plain } from '../../output/json.ts';

export const command = define({
  usage: '[flags]',
  description: 'Asks a runtime for its version, options and OCI features, as JSON.',
  flags: {
    runtime: flag.stringOr('io.containerd.runc.v2', { help: 'runtime name' }),
    'runtime-config-path': flag.string({ help: 'configuration file handed to the runtime' }),
    'runc-binary': flag.string({ help: 'runc-compatible program' }),
  },
  examples: ['davit plugins inspect-runtime', 'davit plugins inspect-runtime --runtime io.containerd.kata.v2'],
  async run(context, flags) {
    const client = await context.client();
    const options =
      flags['runtime-config-path'] === undefined
        ? packMessage('containerd.runc.v1.Options', { binary_name: flags['runc-binary'] ?? '' })
        : packMessage('runtimeoptions.v1.Options', { config_path: flags['runtime-config-path'] });
    const request = packMessage('containerd.types.RuntimeRequest', { runtime_path: flags.runtime, options });
    const { extra } = await client.introspection.PluginInfo({
      type: 'io.containerd.runtime.v2',
      id: 'task',
      options: request,
    });
    const info = extra === null ? undefined : (unpackMessage(extra) as RuntimeInfo | undefined);
    const { features, options: own, ...rest } = info ?? { features: null, options: null };
    context.print(
      jsonText({
        ...(plain(rest) as object),
        Options: own === null ? undefined : plain(unpackMessage(own)),
        Features: features === null ? undefined : parseJson(features.value.toString('utf8')),
      }),
    );
  },
});
