// A tar writer for test images: ustar headers, PAX records where ustar has no room.

const BLOCK = 512;

export interface TarEntry {
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink' | 'fifo' | 'char';
  readonly content?: Uint8Array | string;
  readonly target?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly mtime?: number;
  readonly device?: readonly [major: number, minor: number];
  /** Extended attributes, written as SCHILY.xattr PAX records. */
  readonly xattrs?: Readonly<Record<string, string>>;
}

const TYPE_FLAGS = { file: '0', hardlink: '1', symlink: '2', char: '3', directory: '5', fifo: '6' } as const;

function octal(header: Buffer, offset: number, length: number, value: number): void {
  header.write(value.toString(8).padStart(length - 1, '0') + '\0', offset, length, 'latin1');
}

function header(name: string, flag: string, size: number, entry: TarEntry): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.write(name.slice(0, 100), 0, 100, 'utf8');
  octal(block, 100, 8, entry.mode ?? (flag === '5' ? 0o755 : 0o644));
  octal(block, 108, 8, entry.uid ?? 0);
  octal(block, 116, 8, entry.gid ?? 0);
  octal(block, 124, 12, size);
  octal(block, 136, 12, entry.mtime ?? 1_700_000_000);
  block.write('        ', 148, 8, 'latin1');
  block.write(flag, 156, 1, 'latin1');
  if (entry.target !== undefined) block.write(entry.target.slice(0, 100), 157, 100, 'utf8');
  block.write('ustar\x0000', 257, 8, 'latin1');
  if (entry.device !== undefined) {
    octal(block, 329, 8, entry.device[0]);
    octal(block, 337, 8, entry.device[1]);
  }
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(sum.toString(8).padStart(6, '0') + '\0 ', 148, 8, 'latin1');
  return block;
}

/** One PAX record: its own length counts itself. */
function paxRecord(key: string, value: string): string {
  const body = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(body) + 1;
  while (String(length).length + Buffer.byteLength(body) !== length)
    length = String(length).length + Buffer.byteLength(body);
  return `${length}${body}`;
}

function padded(content: Buffer): Buffer[] {
  const rest = content.length % BLOCK;
  return rest === 0 ? [content] : [content, Buffer.alloc(BLOCK - rest)];
}

function paxRecords(entry: TarEntry): string {
  const records: string[] = [];
  if (Buffer.byteLength(entry.name) > 100) records.push(paxRecord('path', entry.name));
  if (entry.target !== undefined && Buffer.byteLength(entry.target) > 100)
    records.push(paxRecord('linkpath', entry.target));
  for (const [key, value] of Object.entries(entry.xattrs ?? {})) records.push(paxRecord(`SCHILY.xattr.${key}`, value));
  return records.join('');
}

/** The archive of the entries, in their order, with its closing blocks. */
export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const entry of entries) {
    const type = entry.type ?? 'file';
    const pax = Buffer.from(paxRecords(entry));
    if (pax.length > 0) parts.push(header('PaxHeaders', 'x', pax.length, { name: 'PaxHeaders' }), ...padded(pax));
    const content = type === 'file' ? Buffer.from(entry.content ?? '') : Buffer.alloc(0);
    const name = type === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name;
    parts.push(header(name, TYPE_FLAGS[type], content.length, entry), ...padded(content));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}
