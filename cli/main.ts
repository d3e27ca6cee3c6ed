// The program `davit`.
import { main } from './dispatch.ts';

// scripts/bundle-cli.mjs runs commands through this to see what of the program is used.
export { main };

export async function start(): Promise<void> {
  // Whoever reads our output may leave: `davit images ls | head -1`.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 141 : 1));
  process.exit(await main(process.argv.slice(2), process.env));
}
