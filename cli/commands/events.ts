import { unpackMessage } from '../../client/any.ts';
import { define } from '../command.ts';
import { compactJson, format, plain, withoutZeros } from '../output/json.ts';
import { goTime } from '../output/units.ts';

export const command = define({
  usage: '[flags] [<filter> ...]',
  description: 'Prints events of all namespaces as they happen, until interrupted.',
  flags: { format },
  examples: [
    'davit events',
    "davit events 'namespace==default,topic~=/tasks/'",
    'davit events --format json | jq .topic',
  ],
  async run(context, flags, filters) {
    const client = await context.client();
    for await (const envelope of client.events.Subscribe({ filters })) {
      const { timestamp, namespace, topic } = envelope;
      const event =
        envelope.event === null ? null : withoutZeros(plain(unpackMessage(envelope.event) ?? envelope.event));
      const line =
        flags.format === 'json'
          ? `${compactJson(plain({ timestamp, namespace, topic, event }))}\n`
          : `${goTime(timestamp)} ${namespace} ${topic} ${compactJson(event)}\n`;
      context.print(line);
    }
  },
});
