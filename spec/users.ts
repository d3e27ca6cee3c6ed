// Whom a process runs as: `user[:group]` resolved with the image's own passwd and group files.
//
// A number is a number, never a name, and must fit the kernel's range: a USER of 4294967296 must
// not wrap to root (CVE-2024-40635).
import type { User } from './types.ts';

/** The text of the image's files, '' where it has none. Whoever provides it bounds their size. */
export interface UserFiles {
  passwd(): Promise<string>;
  group(): Promise<string>;
}

const MAX_ID = 2 ** 31 - 1;

interface PasswdEntry {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

interface GroupEntry {
  readonly name: string;
  readonly gid: number;
  readonly members: readonly string[];
}

/** Who `text` names. Throws when it is out of range or the files do not have it. */
export async function resolveUser(text: string, files: UserFiles): Promise<{ uid: number; gid: number }> {
  const [user, group, ...more] = text.split(':');
  if (user === undefined || user === '' || more.length > 0)
    throw new Error(`user "${text}": not of the form USER[:GROUP]`);
  const number = parseId(user);
  const entries = group !== undefined && number !== undefined ? [] : parsePasswd(await files.passwd());
  const entry = entries.find((each) => (number === undefined ? each.name === user : each.uid === number));
  if (number === undefined && entry === undefined)
    throw new Error(`user "${user}": not found in the image's /etc/passwd`);
  const uid = number ?? entry?.uid ?? 0;
  if (group === undefined) return { uid, gid: entry?.gid ?? 0 };
  const gid = parseId(group) ?? parseGroup(await files.group()).find((each) => each.name === group)?.gid;
  if (gid === undefined) throw new Error(`group "${group}": not found in the image's /etc/group`);
  return { uid, gid };
}

/**
 * The groups beside `gid` that the image's /etc/group gives to `user`, a name or number; `gid`
 * itself comes first, so that a file's group permission cannot be dodged (CVE-2023-25173).
 */
export async function additionalGids(user: string | number, gid: number, files: UserFiles): Promise<number[]> {
  const name =
    typeof user === 'string' ? user : parsePasswd(await files.passwd()).find(({ uid }) => uid === user)?.name;
  if (name === undefined) return [gid];
  const groups = parseGroup(await files.group()).filter((group) => group.name !== name && group.members.includes(name));
  return [...new Set([gid, ...groups.map((group) => group.gid)])];
}

/** Sets the process's user as an image's or a person's `user[:group]` says; '' is root. */
export async function processUser(text: string, files: UserFiles): Promise<User> {
  if (text === '') return { uid: 0, gid: 0, additionalGids: await additionalGids('root', 0, files) };
  const { uid, gid } = await resolveUser(text, files);
  return { uid, gid, additionalGids: await additionalGids(uid, gid, files) };
}

/** Undefined for what is not all digits. */
function parseId(text: string): number | undefined {
  if (!/^[+-]?\d+$/.test(text)) return undefined;
  const id = Number(text);
  if (id < 0 || id > MAX_ID) throw new Error(`user or group id ${text}: not between 0 and ${MAX_ID}`);
  return id;
}

function parsePasswd(text: string): PasswdEntry[] {
  return records(text).flatMap(([name, , uid, gid]) => {
    const [user, group] = [fileId(uid), fileId(gid)];
    return name && user !== undefined && group !== undefined ? [{ name, uid: user, gid: group }] : [];
  });
}

function parseGroup(text: string): GroupEntry[] {
  return records(text).flatMap(([name, , number, members]) => {
    const gid = fileId(number);
    return name && gid !== undefined
      ? [{ name, gid, members: (members ?? '').split(',').map((each) => each.trim()) }]
      : [];
  });
}

function records(text: string): string[][] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(':'));
}

function fileId(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) && Number(text) <= MAX_ID ? Number(text) : undefined;
}
