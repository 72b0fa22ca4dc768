import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { startChild } from '../engine/children';

/** The oldest Python that the pinned versions run on. */
const OLDEST = [3, 11] as const;

export interface PythonOptions {
  /**
   * Where environments are kept, one folder for each list of requirements.
   * @default .perennial in the working directory
   */
  readonly folder?: string;
  /** Told what happens, a line at a time, while an environment is made. */
  readonly progress?: (line: string) => void;
  /**
   * The programs that may be Python, the first that fits is taken.
   * @default PERENNIAL_PYTHON if it is set, else python3 and python
   */
  readonly candidates?: readonly string[];
  /** Further arguments of `pip install`, e.g. another index. */
  readonly pipArguments?: readonly string[];
}

/** The repositories of images that the engine can stand in for, and the file in `containers/images/` of what each brings along. */
const IMAGES: ReadonlyMap<string, string> = new Map([
  ['sagemaker-xgboost', 'sagemaker-xgboost'],
  ['pytorch', 'pytorch'],
  // AWS's image has stayed at torch 2.6; here, what serves is what trained
  ['pytorch-inference', 'pytorch'],
]);

/** The requirements file of what an image brings along; undefined for an image that the engine does not know. */
export function imageRequirements(image: string): string | undefined {
  const repository = image.replace(/^.*\//, '').replace(/[:@].*$/, '');
  const file = IMAGES.get(repository);
  return file === undefined ? undefined : packageFile(`containers/images/${file}.txt`);
}

/** A file of the engine that is not TypeScript: in `engine/src` in the sources, in `dist/local` once published. */
export function packageFile(file: string): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    for (const place of ['.', 'engine/src', 'dist/local']) {
      const path = join(folder, place, file);
      if (existsSync(path)) return path;
    }
    if (folder === dirname(folder)) throw new Error(`${file} is missing from the package: install it again`);
  }
}

/** A Python environment cannot be had; the message says what to do. */
export class PythonError extends Error {
  override readonly name = 'PythonError';
}

const inFlight = new Map<string, Promise<string>>();

/**
 * Gives the Python of a virtual environment that has these requirements, and makes it the first time.
 *
 * Safe to call from several processes at once; an installation that was cut off is made again.
 *
 * @param requirements one or several of pip's requirements files
 * @returns the path of the interpreter
 */
export async function ensurePython(requirements: string | readonly string[], options: PythonOptions = {}) {
  const files = typeof requirements === 'string' ? [requirements] : [...requirements];
  const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
  const base = await findPython(options.candidates);
  const identity = JSON.stringify([texts, base.version, process.platform, process.arch]);
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 12);
  const target = resolve(options.folder ?? '.perennial', `python-${hash}`);
  const running = inFlight.get(target) ?? makeOnce(target, base, files, options).finally(() => inFlight.delete(target));
  inFlight.set(target, running);
  return running;
}

interface BasePython {
  readonly program: string;
  readonly version: string;
}

/** Finds a Python that is new enough. */
export async function findPython(candidates?: readonly string[]): Promise<BasePython> {
  const chosen = process.env.PERENNIAL_PYTHON;
  const programs = candidates ?? (chosen === undefined ? ['python3', 'python'] : [chosen]);
  const found: string[] = [];
  for (const program of programs) {
    const version = await versionOf(program);
    if (version === undefined) continue;
    const [major, minor] = version.split('.').map(Number);
    if (major === OLDEST[0] && minor >= OLDEST[1]) return { program, version };
    found.push(`${program} is ${version}`);
  }
  throw new PythonError(
    `local training needs Python ${OLDEST.join('.')} or later, got ${found.join(', ') || `none of ${programs.join(', ')} on the path`}; install it, or set PERENNIAL_PYTHON to its program`,
  );
}

async function versionOf(program: string): Promise<string | undefined> {
  try {
    const { stdout } = await promisify(execFile)(program, [
      '-c',
      'import sys; print("%d.%d.%d" % sys.version_info[:3])',
    ]);
    return stdout.trim();
  } catch {
    return undefined;
  }
}

async function makeOnce(target: string, base: BasePython, files: string[], options: PythonOptions): Promise<string> {
  const ready = join(target, 'ready');
  const python = join(target, process.platform === 'win32' ? 'Scripts/python.exe' : 'bin/python');
  if (existsSync(ready)) return python;
  await mkdir(resolve(target, '..'), { recursive: true });
  const release = await lock(`${target}.lock`, options.progress);
  try {
    if (existsSync(ready)) return python;
    await rm(target, { recursive: true, force: true }); // a cut-off installation
    options.progress?.(`making a Python ${base.version} environment in ${target} (once)`);
    await makeVenv(base, target, options);
    await install(python, files, options);
    await writeFile(ready, '');
    options.progress?.('the Python environment is ready');
    return python;
  } finally {
    await release();
  }
}

/** Waits for other processes that make the same environment; a lock whose process is gone counts as free. */
async function lock(folder: string, progress?: (line: string) => void): Promise<() => Promise<void>> {
  for (let told = false; ; ) {
    try {
      await mkdir(folder);
      await writeFile(join(folder, 'pid'), String(process.pid));
      return () => rm(folder, { recursive: true, force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => Number.NaN));
    if (holder > 0 && !isAlive(holder)) {
      await rm(folder, { recursive: true, force: true });
      continue;
    }
    if (!told) progress?.('another process makes the Python environment, waiting for it');
    told = true;
    await sleep(200);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function makeVenv(base: BasePython, target: string, options: PythonOptions): Promise<void> {
  const { code, output } = await tell(base.program, ['-m', 'venv', target], options);
  if (code === 0) return;
  const missing = /ensurepip|No module named venv/.test(output);
  throw new PythonError(
    missing
      ? `${base.program} (${base.version}) cannot make virtual environments because its venv module is missing; install it (Debian and Ubuntu: apt install python3-venv), or set PERENNIAL_PYTHON to another Python`
      : `${base.program} -m venv ${target} failed:\n${lastLines(output)}`,
  );
}

async function install(python: string, files: string[], options: PythonOptions): Promise<void> {
  const { code, output } = await tell(
    python,
    [
      ...['-m', 'pip', 'install', '--disable-pip-version-check', '--no-input', '--progress-bar', 'off'],
      ...['--retries', '2', '--prefer-binary', ...(options.pipArguments ?? [])],
      ...files.flatMap((file) => ['-r', file]),
    ],
    options,
  );
  if (code === 0) return;
  if (
    /NewConnectionError|ConnectTimeout|ReadTimeout|Temporary failure in name resolution|ProxyError|SSLError/.test(
      output,
    )
  ) {
    throw new PythonError(
      `the Python package index cannot be reached, and the pinned packages are not installed yet; check the network or the proxy, or name another index in PIP_INDEX_URL:\n${lastLines(output)}`,
    );
  }
  const [, wanted] = /No matching distribution found for (.+)/.exec(output) ?? [];
  if (wanted !== undefined) {
    throw new PythonError(
      `the package index has no ${wanted.trim()} for this Python and machine (${process.platform} ${process.arch}); use Python 3.11 to 3.14 on Linux x64 or arm64, macOS or Windows, by PERENNIAL_PYTHON:\n${lastLines(output)}`,
    );
  }
  throw new PythonError(`pip could not install ${files.join(', ')}:\n${lastLines(output)}`);
}

/** Runs a program, tells its steps, and gives all that it wrote. */
async function tell(program: string, args: readonly string[], options: PythonOptions) {
  const child = startChild(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
      for (const line of text.split('\n')) {
        if (/^\s*(Collecting|Downloading|Installing|Successfully)/.test(line)) options.progress?.(line.trim());
      }
    });
  }
  const code = await new Promise<number>((done) => {
    child.on('error', (error) => {
      output += error.message;
      done(127);
    });
    child.on('close', (status) => done(status ?? 1));
  });
  return { code, output };
}

function lastLines(output: string): string {
  return output.trim().split('\n').slice(-5).join('\n');
}
