import { randomUUID } from 'node:crypto';
import { open, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { errnoCode, Failure } from '../lib/errors.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The daemon's identity: `<root>/uuid`, made at the first start. */
export async function loadIdentity(root: string): Promise<string> {
  const file = path.join(root, 'uuid');
  const text = (await readText(file)).trim();
  if (UUID.test(text)) return text;
  if (text !== '') throw new Failure('data loss', `"${file}" holds no UUID; remove it to get a new one: data loss`);
  const uuid = randomUUID();
  const handle = await open(`${file}.new`, 'w', 0o600);
  try {
    await handle.writeFile(uuid);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(`${file}.new`, file);
  return uuid;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errnoCode(error) === 'ENOENT') return '';
    throw error;
  }
}
