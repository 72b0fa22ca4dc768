import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface EngineProcessOptions {
  readonly assembly: string;
  readonly state: string;
  readonly arguments?: readonly string[];
  /** Real milliseconds in which it must answer. @default 60000 */
  readonly patience?: number;
}

/** `perennial local` as people start it: a process that a test may kill. */
export class EngineProcess {
  /** All that it has written so far. */
  output = '';
  /** How many lines that is. */
  lines = 0;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals>;

  private constructor(readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
        this.lines += text.split('\n').length - 1;
      });
    }
    this.exited = new Promise((done) => child.on('exit', (code, signal) => done(code ?? (signal as NodeJS.Signals))));
  }

  /** Starts it; resolves once it answers. */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    const engine = EngineProcess.launch(options);
    await engine.answers(options.patience);
    return engine;
  }

  /** Begins to start it. */
  static launch(options: EngineProcessOptions): EngineProcess {
    const { assembly, state } = options;
    const words = ['local', '--assembly', assembly, '--state', state, '--port', '0', ...(options.arguments ?? [])];
    const child = spawn(process.execPath, ['dist/bin/perennial.mjs', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
    return new EngineProcess(child);
  }

  /** Waits until it answers. */
  async answers(patience = 60_000): Promise<void> {
    const until = Date.now() + patience;
    while (!/export AWS_ACCESS_KEY_ID=.*\n/.test(this.output)) {
      if (this.child.exitCode !== null || Date.now() > until) {
        await this.end('SIGKILL');
        throw new Error(`the engine does not answer:\n${this.output}`);
      }
      await sleep(10);
    }
  }

  /** What it told to export. */
  get environment(): Record<string, string> {
    const exported = this.output.matchAll(/^ {2}export (.+)$/gm);
    return Object.fromEntries(
      [...exported].flatMap(([, pairs = '']) => pairs.split(' ').map((pair) => pair.split(/=(.*)/s).slice(0, 2))),
    );
  }

  /** For the constructors of SDK clients. */
  get clientConfig() {
    const { AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY } = this.environment;
    return {
      endpoint: AWS_ENDPOINT_URL as string,
      region: AWS_REGION as string,
      credentials: { accessKeyId: AWS_ACCESS_KEY_ID as string, secretAccessKey: AWS_SECRET_ACCESS_KEY as string },
      forcePathStyle: true,
      maxAttempts: 1,
    };
  }

  /** Sends a signal, and waits for its end. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    this.child.kill(signal);
    return await this.exited;
  }
}

/** The living processes whose environment names a folder, as that of all children of an engine names its state's. */
export function processesOf(folder: string): { readonly pid: number; readonly command: string }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      try {
        if (!readFileSync(`/proc/${name}/environ`, 'latin1').includes(folder)) return [];
        const command = readFileSync(`/proc/${name}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
        return [{ pid: Number(name), command }];
      } catch {
        return []; // it has just ended, or is somebody else's
      }
    });
}

/** The processes of a folder that are still there after a while. */
export async function survivorsOf(folder: string, patienceMs = 5000): Promise<string[]> {
  const until = Date.now() + patienceMs;
  for (;;) {
    const left = processesOf(folder);
    if (left.length === 0 || Date.now() > until) return left.map(({ pid, command }) => `${pid} ${command}`);
    await sleep(50);
  }
}
