// The program `davit`.
import { main } from './dispatch.ts';

// scripts/bundle-cli.mjs runs commands through this to see what of the program is used.
export { main };

export async function start(): Promise<void> {
  process.exit(await main(process.argv.slice(2), process.env));
}
