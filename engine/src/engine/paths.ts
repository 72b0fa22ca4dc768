import { realpath } from 'node:fs/promises';
import { join } from 'node:path';

/** Bytes of a file's name that every usual file system takes. */
const LONGEST_NAME = 255;

/** Names that Windows gives to devices, whatever comes behind a dot. */
const DEVICES = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$/i;

/** A name that cannot be that of a file in the folder that it is meant for. */
export class NameError extends Error {
  override readonly name = 'NameError';
}

/**
 * The path of a file below a folder, by a name that came from outside: a key, a member of an archive, a program.
 *
 * Throws {@link NameError} where the path would not lie below the folder, or another name has the same: the name is
 * absolute, has an empty part, `.` or `..`, a NUL, or what a part cannot have on this system.
 *
 * @param name its parts with slashes between them
 */
export function below(folder: string, name: string, platform: NodeJS.Platform = process.platform): string {
  for (const part of name.split('/')) {
    const why =
      part === '' ? 'an empty part' : part === '.' || part === '..' ? `a part ${part}` : strange(part, platform);
    if (why !== undefined) {
      throw new NameError(`${JSON.stringify(name)} cannot be a file's name below a folder: it has ${why}`);
    }
  }
  return join(folder, name);
}

function strange(part: string, platform: NodeJS.Platform): string | undefined {
  if (part.includes('\0')) return 'a NUL character';
  if (Buffer.byteLength(part) > LONGEST_NAME)
    return `a part of ${Buffer.byteLength(part)} bytes, at most ${LONGEST_NAME} are possible`;
  if (platform !== 'win32') return undefined;
  const [character] = /[\\:<>"|?*\p{Cc}]/u.exec(part) ?? [];
  if (character !== undefined) return `the character ${JSON.stringify(character)}, which Windows does not allow`;
  if (/[. ]$/.test(part)) return 'a part that ends in a dot or a blank, which Windows drops';
  return DEVICES.test(part) ? `the part ${part}, which is a device on Windows` : undefined;
}

/**
 * The path of a folder's own part: throws {@link NameError} where the part, or a part above it, has become a link to
 * somewhere else.
 */
export async function ownPart(folder: string, name: string): Promise<string> {
  const path = below(folder, name);
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined && real !== join(await realpath(folder), name)) {
    throw new NameError(`${name} is a link to another place, ${real}, and is not followed`);
  }
  return path;
}
