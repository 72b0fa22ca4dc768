import type { Shape } from '../../service';

/** A service's answer as JSON: times as `write` says, bytes as text. */
export async function jsonOf(value: Shape, write: (time: Date) => unknown): Promise<Shape> {
  if (value instanceof Date) return write(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('utf8');
  if (Array.isArray(value)) return await Promise.all(value.map((item) => jsonOf(item, write)));
  if (value === null || typeof value !== 'object') return value;
  if (Symbol.asyncIterator in value) {
    const chunks: Buffer[] = [];
    for await (const chunk of value) chunks.push(Buffer.from(chunk));
    return Buffer.concat(chunks).toString('utf8');
  }
  const members: Record<string, unknown> = {};
  for (const [key, member] of Object.entries(value)) {
    if (member !== undefined) members[key] = await jsonOf(member, write);
  }
  return members;
}

/** As `aws-sdk:` integrations write times. */
export const isoTime = (time: Date): string => time.toISOString();

/** As optimized integrations write times. */
export const epochTime = (time: Date): number => time.getTime();

/** The members of a shape with the first letter of each name changed, at every depth. */
export function renamed(value: Shape, rename: (name: string) => string): Shape {
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (value === null || typeof value !== 'object' || value instanceof Date) return value;
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [rename(key), renamed(member, rename)]));
}

export const camelCase = (name: string): string => name.charAt(0).toLowerCase() + name.slice(1);
export const pascalCase = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
