// Field masks: which fields an update changes. Of a map, `field` means the whole and `field.<key>`
// one entry; everything after the first dot is the key, since keys contain dots.

/**
 * A map after the update that `path` asks for: what `given` says goes, an entry that it lacks is
 * removed. Undefined when the path is not about `field`.
 */
export function maskedMap<V>(
  field: string,
  path: string,
  current: ReadonlyMap<string, V>,
  given: ReadonlyMap<string, V>,
): ReadonlyMap<string, V> | undefined {
  if (path === field) return given;
  if (!path.startsWith(`${field}.`)) return undefined;
  const key = path.slice(field.length + 1);
  const value = given.get(key);
  const copy = new Map(current);
  if (value === undefined) copy.delete(key);
  else copy.set(key, value);
  return copy;
}
