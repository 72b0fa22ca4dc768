import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

/** The npm package that carries a Chromium, compressed. */
const PACKAGE = resolve('node_modules/@sparticuz/chromium');

const FLAGS = [
  '--no-sandbox', // root has no other way, and the pages are our own
  '--disable-gpu',
  '--disable-quic',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/**
 * Starts a headless Chromium: the one that PERENNIAL_BROWSER names, else the one of the npm package.
 *
 * Throws with what to do where neither runs: no test of pages passes for want of a browser.
 */
export async function openBrowser(flags: readonly string[] = []): Promise<Browser> {
  try {
    const { PERENNIAL_BROWSER: own } = process.env;
    const { program, env } = own === undefined ? unpacked() : { program: own, env: {} };
    return await chromium.launch({
      executablePath: program,
      env: { ...process.env, ...env } as Record<string, string>,
      args: [...FLAGS, ...flags],
    });
  } catch (error) {
    throw new Error(
      `the tests of pages need a browser: run npm ci, which brings one for Linux on x64, or set PERENNIAL_BROWSER to the program of a Chromium or Chrome: ${(error as Error).message}`,
    );
  }
}

/** Unpacks the package's browser, its libraries and its fonts; once for each of its versions. */
function unpacked(): { program: string; env: Record<string, string> } {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`the npm package has none for ${process.platform} on ${process.arch}`);
  }
  const { version } = JSON.parse(readFileSync(join(PACKAGE, 'package.json'), 'utf8'));
  const folder = resolve('.perennial', `chromium-${version}`);
  if (!existsSync(folder)) {
    mkdirSync('.perennial', { recursive: true });
    const part = mkdtempSync(`${folder}.part-`); // renamed when whole: several processes may do this at once
    const files = ['chromium.br', 'al2023.tar.br', 'fonts.tar.br'].map((name) => join(PACKAGE, 'bin', name));
    const code = `import { inflate } from '@sparticuz/chromium';
      for (const file of ${JSON.stringify(files)}) await inflate(file);`;
    execFileSync(process.execPath, ['--input-type=module', '-e', code], { env: { ...process.env, TMPDIR: part } });
    try {
      renameSync(part, folder);
    } catch (error) {
      rmSync(part, { recursive: true });
      if (!existsSync(folder)) throw error;
    }
  }
  const libraries = [process.env.LD_LIBRARY_PATH, join(folder, 'al2023/lib')].filter((path) => path !== undefined);
  return {
    program: join(folder, 'chromium'),
    env: { LD_LIBRARY_PATH: libraries.join(':'), FONTCONFIG_PATH: join(folder, 'fonts') },
  };
}
