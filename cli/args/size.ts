// Sizes as people write them: bytes, or with a unit of 1024s (`100m`, `1g`, `1.5GiB`).

const POWERS = 'bkmgtp';

/** Bytes. Throws an Error for anything else. */
export function parseSize(text: string): bigint {
  const match = /^(\d+)(\.\d+)?([bkmgtp])?(?:i?b)?$/i.exec(text.trim());
  const whole = match?.[1];
  if (match === null || whole === undefined) throw new Error(`"${text}" is not a size such as 1048576, 100m or 1g`);
  const power = POWERS.indexOf((match[3] ?? 'b').toLowerCase());
  const unit = 1024n ** BigInt(power);
  const fraction = match[2] === undefined ? 0n : BigInt(Math.round(Number(match[2]) * Number(unit)));
  return BigInt(whole) * unit + fraction;
}
