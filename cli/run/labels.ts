// `key=value` arguments.

/** Without `=` the value is ''; `emptyMeans` replaces it (ctr writes `true` for a container's labels). */
export function labelArguments(list: readonly string[], emptyMeans = ''): Record<string, string> {
  return Object.fromEntries(
    list.map((each) => {
      const equals = each.indexOf('=');
      return equals < 0 ? [each, emptyMeans] : [each.slice(0, equals), each.slice(equals + 1)];
    }),
  );
}
