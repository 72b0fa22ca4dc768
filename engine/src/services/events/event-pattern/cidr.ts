import { refuse } from './refusal';

/** Reads a range of IP addresses, such as `10.0.0.0/8`. */
export function cidr(range: string): (value: string) => boolean {
  const [address = '', mask = '', ...rest] = range.split('/');
  if (mask === '' || rest.length > 0) refuse("Malformed CIDR, one '/' required");
  const bits = Number(mask);
  if (!/^[+-]?\d+$/.test(mask) || bits >= 2 ** 31) refuse('Malformed CIDR, mask bits must be an integer');
  if (bits < 0) refuse('Malformed CIDR, mask bits must not be negative');
  if (!looksLikeAddress(address)) refuse(`Nonstandard IP address: ${address}`);
  const base = ipAddress(address);
  if (base === undefined) refuse(`Invalid IP address: ${address}`);
  if (bits > base.width) refuse(`IPv${base.width === 32 ? 4 : 6} mask bits must be <= ${base.width}`);
  const shift = BigInt(base.width - bits);
  return (value) => {
    const ip = ipAddress(value);
    return ip?.width === base.width && ip.number >> shift === base.number >> shift;
  };
}

/** Whether EventBridge takes a text for an address at all, right or wrong. */
function looksLikeAddress(text: string): boolean {
  return /^\d+\.\d+\.\d+\.\d+$/.test(text) || (text.includes(':') && /^[\da-f:]+$/i.test(text));
}

function ipAddress(address: string): { readonly width: 32 | 128; readonly number: bigint } | undefined {
  const four = ipv4(address);
  if (four !== undefined) return { width: 32, number: four };
  const six = ipv6(address);
  return six === undefined ? undefined : { width: 128, number: six };
}

function ipv4(address: string): bigint | undefined {
  const bytes = address.split('.');
  if (bytes.length !== 4 || !bytes.every((byte) => /^\d{1,3}$/.test(byte) && Number(byte) < 256)) return undefined;
  return bytes.reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

function ipv6(address: string): bigint | undefined {
  const halves = address.split('::');
  if (halves.length > 2 || !address.includes(':')) return undefined;
  const [head = [], tail = []] = halves.map((half) => (half === '' ? [] : half.split(':')));
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...Array<string>(missing).fill('0'), ...tail];
  if (!groups.every((group) => /^[\da-f]{1,4}$/i.test(group))) return undefined;
  return groups.reduce((number, group) => number * 65536n + BigInt(`0x${group}`), 0n);
}
