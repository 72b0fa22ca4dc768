import { type ChildProcess, execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ensurePython, findPython, imageRequirements, packageFile } from '../../containers/python';
import { killGroup, startChild } from '../../engine/children';
import type { Host } from './host';

/**
 * Gives the child a /opt/ml of its own, by a private user and mount namespace: no root, no Docker, and the
 * machine's own /opt stays as it is. The input is read-only, for it is linked to the objects themselves.
 *
 * Arguments: a spare empty folder, the container's folder, the working folder, what becomes /etc/hosts, then the
 * command.
 */
const MOUNT = `set -e
spare=$1; ml=$2; work=$3; hosts=$4; shift 4
mount --bind "$hosts" /etc/hosts
if [ -d /opt ]; then mount --rbind /opt "$spare"; fi
mount -t tmpfs none /opt
for entry in "$spare"/*; do
  [ -e "$entry" ] || continue
  to=/opt/\${entry##*/}
  if [ -d "$entry" ]; then mkdir -p "$to"; else : > "$to"; fi
  mount --rbind "$entry" "$to"
done
mkdir -p /opt/ml
mount --bind "$ml" /opt/ml
if [ -d /opt/ml/input/data ]; then
  mount --bind /opt/ml/input/data /opt/ml/input/data
  mount -o remount,bind,ro /opt/ml/input/data
fi
cd "$work"
exec "$@"`;

const PRIVATE = ['unshare', '-rm', 'sh', '-c', MOUNT, 'sh'];
export const HOSTS = '/etc/hosts';

export interface ContainerRequest {
  /** What becomes /opt/ml. */
  readonly folder: string;
  /** The stub of the image's entry point: `container.py` or `serve.py`. */
  readonly entry: string;
  readonly python: string;
  readonly env: Readonly<Record<string, string>>;
  /** Below /opt/ml. */
  readonly workingFolder: string;
  /** A file that takes the place of /etc/hosts, where the container has mounts of its own. @default the machine's */
  readonly hosts?: string;
  readonly line: (line: string, stream: 'out' | 'err') => void;
}

export interface Container {
  readonly pid: number | undefined;
  /** Resolves with the exit code, once all output has been read. */
  readonly ended: Promise<number>;
  signal(name: 'SIGTERM' | 'SIGKILL'): void;
  /** Ends the child and all that it started, at once. */
  end(): void;
}

/** Starts what runs instead of containers, and ends them all when the engine stops. */
export class Containers {
  private readonly running = new Set<Container>();
  private mounts: Promise<string | undefined> | undefined;
  private isStopped = false;
  private environments = new Map<string, Promise<string>>();

  constructor(private readonly host: Host) {}

  /** Whether containers see their folder as /opt/ml. */
  async literalPaths(): Promise<boolean> {
    return (await this.spare()) !== undefined;
  }

  /** The Python that has what an image brings along, and what the code asks for besides. */
  python(image: string, code?: string): Promise<string> {
    const { interpreter, ...options } = this.host.options.python ?? {};
    if (interpreter !== undefined) return Promise.resolve(interpreter);
    const brought = imageRequirements(image);
    const own = code === undefined ? undefined : join(code, 'requirements.txt');
    const files = [brought, own]
      .filter((file): file is string => file !== undefined && existsSync(file))
      .filter((file) => file === brought || asksForMore(file, brought));
    const progress = options.progress ?? ((line: string) => this.host.context.log('sagemaker', line));
    if (files.length === 0) return findPython(options.candidates).then(({ program }) => program);
    const key = files.join('\n');
    const made = this.environments.get(key) ?? ensurePython(files, { ...options, progress });
    this.environments.set(key, made);
    made.catch(() => this.environments.delete(key));
    return made;
  }

  async start(request: ContainerRequest): Promise<Container> {
    const spare = await this.spare();
    if (this.isStopped) throw new Error('the engine has stopped');
    const root = spare === undefined ? request.folder : '/opt/ml';
    const entry = [packageFile(`containers/${request.entry}`), root];
    const guarded =
      request.entry === 'container.py' ? entry : [packageFile('containers/guard.py'), request.python, ...entry];
    const words = [request.python, ...guarded];
    const work = join(root, request.workingFolder);
    const [program, ...rest] =
      spare === undefined ? words : [...PRIVATE, spare, request.folder, work, request.hosts ?? HOSTS, ...words];
    const child = startChild(program as string, rest, {
      cwd: spare === undefined ? work : request.folder,
      env: {
        PATH: process.env.PATH ?? '',
        HOME: request.folder,
        LANG: 'C.UTF-8',
        ...(process.env.TMPDIR && { TMPDIR: process.env.TMPDIR }),
        PYTHONUNBUFFERED: '1',
        ...request.env,
      },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    const container = new ChildContainer(child, request.line);
    this.running.add(container);
    container.ended.finally(() => this.running.delete(container));
    return container;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    const all = [...this.running];
    for (const container of all) container.end();
    await Promise.all(all.map((container) => container.ended));
    const spare = await this.mounts;
    if (spare !== undefined) await rm(spare, { recursive: true, force: true });
  }

  /** Tries once whether namespaces are to be had; gives the spare folder that mounting needs. */
  private spare(): Promise<string | undefined> {
    this.mounts ??= this.tryMounts();
    return this.mounts;
  }

  private async tryMounts(): Promise<string | undefined> {
    if (process.platform === 'linux') {
      const spare = await mkdtemp(join(tmpdir(), 'perennial-opt-'));
      try {
        await mkdir(join(this.host.context.stateDir, 'sagemaker'), { recursive: true });
        const { stateDir } = this.host.context;
        const [program, ...words] = [...PRIVATE, spare, stateDir, '/', HOSTS, 'true'];
        await promisify(execFile)(program as string, words);
        return spare;
      } catch {
        await rm(spare, { recursive: true, force: true });
      }
    }
    this.host.context.log(
      'sagemaker',
      'this machine has no user namespaces: jobs find their folders by SM_* variables, not under /opt/ml',
    );
    return undefined;
  }
}

class ChildContainer implements Container {
  readonly ended: Promise<number>;

  constructor(
    private readonly child: ChildProcess,
    line: ContainerRequest['line'],
  ) {
    child.stdin?.on('error', () => {}); // it has ended already
    readLines(child.stdout, (text) => line(text, 'out'));
    readLines(child.stderr, (text) => line(text, 'err'));
    this.ended = new Promise((done) => {
      child.on('error', (error) => {
        line(error.message, 'err');
        done(127);
      });
      child.on('close', (code) => done(code ?? 137));
    });
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  signal(name: 'SIGTERM' | 'SIGKILL'): void {
    if (name === 'SIGKILL') this.end();
    else this.child.kill(name);
  }

  end(): void {
    this.child.stdin?.end(); // its guard kills what it watches over
    if (this.child.exitCode !== null) return;
    setTimeout(() => killGroup(this.child), 2000).unref();
  }
}

function readLines(stream: ChildProcess['stdout'], line: (text: string) => void): void {
  let rest = '';
  stream?.setEncoding('utf8');
  stream?.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) line(text);
  });
  stream?.on('end', () => rest !== '' && line(rest));
}

/** Whether a script's requirements name anything that its image does not bring along. */
function asksForMore(own: string, brought?: string): boolean {
  const lines = (file: string) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .map((line) => line.replace(/#.*/, '').trim())
      .filter((line) => line !== '');
  const there = brought === undefined ? [] : lines(brought);
  return !lines(own).every((line) => there.some((one) => one === line || one.startsWith(`${line}==`)));
}
