import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { isAbsolute, join, posix } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as assets from 'aws-cdk-lib/aws-s3-assets';
import type { Construct } from 'constructs';
import { createTar } from 'nanotar';
import { listed } from '../core/listed';
import { refuse } from '../private/validate';
import type { PyTorchTrainerProps } from './trainer-props';

const MOST_BYTES = 500 * 1024 * 1024;
/** What the header of a file has room for. */
const LONGEST_PATH = 100;
const REQUIREMENTS = 'requirements.txt';

/** A file of a source folder. */
interface SourceFile {
  /** Its path in the folder, with slashes. */
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

export interface PackedSource {
  readonly asset: assets.Asset;
  /** The file that trains, by its path in the folder. */
  readonly program: string;
}

type SourceProps = Pick<PyTorchTrainerProps, 'sourceDirectory' | 'entryPoint' | 'requirements'>;

/**
 * A folder of code as SageMaker wants it: a `.tar.gz`, without hidden files and what Python compiled. The same files
 * always give the same archive, and the same hash on every machine.
 */
export function packedSource(scope: Construct, props: SourceProps): PackedSource {
  const { sourceDirectory, entryPoint, requirements = [] } = props;
  const found = statSync(sourceDirectory, { throwIfNoEntry: false });
  refuse(scope, [
    !found?.isDirectory() &&
      `sourceDirectory must be a folder, got '${sourceDirectory}', which is ${found ? 'a file' : 'not there'}`,
  ]);
  const files = filesOf(scope, sourceDirectory);
  const program = posix.normalize(entryPoint.replaceAll('\\', '/'));
  const isOutside = posix.isAbsolute(program) || isAbsolute(entryPoint) || program.split('/')[0] === '..';
  const scripts = files.map(({ name }) => name).filter((name) => /\.(py|sh)$/.test(name));
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  const long = files.find(({ name }) => Buffer.byteLength(name) > LONGEST_PATH);
  refuse(scope, [
    isOutside && `entryPoint must lie in sourceDirectory, got '${entryPoint}'`,
    !isOutside &&
      !scripts.includes(program) &&
      `entryPoint must be a .py or .sh file in '${sourceDirectory}', got '${entryPoint}', found ${listed(scripts) || 'none'}`,
    bytes > MOST_BYTES &&
      `sourceDirectory must be at most 500 MB, got ${Math.round(bytes / 1024 / 1024)} MB in '${sourceDirectory}'; leave data out of it`,
    long !== undefined &&
      `sourceDirectory: a file's path must be at most ${LONGEST_PATH} bytes, got ${long.name}; shorten it`,
    requirements.length > 0 &&
      files.some(({ name }) => name === REQUIREMENTS) &&
      `requirements must not be given, because '${sourceDirectory}' has a ${REQUIREMENTS}`,
    ...requirements.map(
      (line) => !/^[^\r\n]*\S[^\r\n]*$/.test(line) && `requirements must be one line each, got ${JSON.stringify(line)}`,
    ),
  ]);

  const tar = createTar([
    ...files.map(({ name, path }) => ({ name, data: readFileSync(path), attrs: { mtime: 0, mode: '644' } })),
    ...(requirements.length > 0
      ? [{ name: REQUIREMENTS, data: `${requirements.join('\n')}\n`, attrs: { mtime: 0, mode: '644' } }]
      : []),
  ]);
  const folder = mkdtempSync(join(tmpdir(), 'perennial-source-'));
  const path = join(folder, 'source.tar.gz');
  writeFileSync(path, gzipSync(tar));
  // the hash of what is packed: compressed, it differs from one zlib to another
  const assetHash = createHash('sha256').update(tar).digest('hex');
  const asset = new assets.Asset(scope, 'Source', { path, assetHash });
  const isCopied = !isAbsolute(asset.assetPath);
  if (isCopied) rmSync(folder, { recursive: true });
  return { asset, program };
}

/** All files in and below a folder that belong to the source, in the order of their paths. */
function filesOf(scope: Construct, root: string, below = ''): SourceFile[] {
  return readdirSync(join(root, below))
    .filter((entry) => !entry.startsWith('.') && entry !== '__pycache__' && !entry.endsWith('.pyc'))
    .flatMap((entry) => {
      const name = posix.join(below, entry);
      const path = join(root, name);
      const stat = statSync(path, { throwIfNoEntry: false });
      refuse(scope, [stat === undefined && `sourceDirectory must not have links to nowhere, got ${path}`]);
      if (stat?.isDirectory()) return filesOf(scope, root, name);
      return stat?.isFile() ? [{ name, path, bytes: stat.size }] : [];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
