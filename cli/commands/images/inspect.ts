import type { Client } from '../../../client/connect.ts';
import { children } from '../../../client/images/inspect.ts';
import { readJson } from '../../../client/images/content.ts';
import { findImage, fromWire } from '../../../client/images/resolve.ts';
import { isConfig, type Descriptor } from '../../../client/images/types.ts';
import { isNotFound } from '../../../client/errors.ts';
import { flag } from '../../args/flags.ts';
import { define, required } from '../../command.ts';
import { format, jsonText, plain } from '../../output/json.ts';
import { rfc3339 } from '../../output/units.ts';

export const command = define({
  usage: '[flags] <ref>',
  description: 'Shows the tree of documents and layers that an image is made of.',
  flags: { content: flag.switch({ help: "show the documents' text too" }), format },
  examples: ['davit images inspect example.com/app:1', 'davit images inspect --content example.com/app:1'],
  async run(context, flags, [ref]) {
    const client = await context.client();
    const { name } = await findImage(client, required(ref, 'image ref'));
    const { image } = await client.images.Get({ name });
    if (image?.target == null) return;
    const tree = await read(client, fromWire(image.target), flags.content);
    if (flags.format === 'json') {
      context.print(jsonText({ ...(plain(image) as object), tree }));
      return;
    }
    context.print(`${name}\n Created: ${rfc3339(image.created_at)}\n Updated: ${rfc3339(image.updated_at)}\n`);
    for (const [key, value] of Object.entries(image.labels)) context.print(` Label: ${key}=${value}\n`);
    context.print(draw(tree, '', ''));
  },
});

interface Node {
  readonly descriptor: Descriptor;
  /** Undefined unless asked for, or when it is not here. */
  readonly document?: unknown;
  readonly children: readonly Node[];
}

async function read(client: Client, descriptor: Descriptor, withContent: boolean): Promise<Node> {
  try {
    const below = await children(client, descriptor);
    const shown = withContent && (below.length > 0 || isConfig(descriptor.mediaType));
    const document = shown ? await readJson<unknown>(client, descriptor) : undefined;
    const nodes = await Promise.all(below.map((each) => read(client, each, withContent)));
    return { descriptor, ...(document === undefined ? {} : { document }), children: nodes };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    return { descriptor, children: [] };
  }
}

function draw(node: Node, first: string, rest: string): string {
  const { descriptor, document } = node;
  const lines = [`${first}${descriptor.mediaType} @${descriptor.digest} (${descriptor.size} bytes)\n`];
  if (document !== undefined) lines.push(jsonText(document).replace(/^/gm, `${rest}   `).trimEnd() + '\n');
  for (const [index, child] of node.children.entries()) {
    const last = index === node.children.length - 1;
    lines.push(draw(child, `${rest}${last ? '└──' : '├──'}`, `${rest}${last ? '   ' : '│  '}`));
  }
  return lines.join('');
}
