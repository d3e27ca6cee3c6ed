// Text of strangers on one line of a terminal.

/** Without what the terminal would take for commands to itself; an ellipsis for what is beyond `most` characters. */
export function oneLine(text: string, most = Infinity): string {
  // eslint-disable-next-line no-control-regex
  const line = text.replace(/[\s\u0000-\u001f\u007f-\u009f]+/g, ' ').trim();
  return line.length <= most ? line : `${line.slice(0, most - 1)}…`;
}
