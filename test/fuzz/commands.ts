import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { main } from '../../bin/commands/program';
import { engineWithLedger } from '../support/command-line';
import { csv, rides, written } from '../support/preparation';
import { below, fuzz, pick, type Random, type Tally } from './mutate';

/** What a person may give where something else is wanted. */
const WORDS = [
  ...['', ' ', '-', '--', '-1', '0', '3', 'v3', 'v', '1.5', '1e9', 'NaN', 'Infinity', '99999999999999999999', '0x10'],
  ...['latest', 'data-77', 'data', 'nonsense', 'flights', 'Stack', '__proto__', 'constructor', 'toString', 'null'],
  ...['2026-11-23T12:00:00Z', '2026-13-45', '2026-02-30', '23.11.2026', '1', '+275760-09-13', 'now', '2026-11-23'],
  ...[
    '💥',
    '\ud800',
    'a b',
    "'; DROP TABLE data; --",
    '$(id)',
    '../../etc/passwd',
    '/',
    '.',
    '\0',
    'a\nb',
    '*',
    '%s%n',
  ],
  ...['late', 'km', 'city', 'ä'.repeat(5000), 'x'.repeat(100_000), 'arn:aws:s3:::x', 'http://127.0.0.1:1'],
];

/** Each command: words that it may take, and its options. */
const COMMANDS: ReadonlyArray<readonly [name: string, words: readonly string[], options: readonly string[]]> = [
  ['runs', [], ['--json']],
  ['run', ['latest', 'data-77', 'data'], ['--json']],
  ['start', [], ['--reason']],
  ['replay', ['latest', 'data-77', 'data'], ['--reason']],
  ['served', [], ['--at', '--at', '--json']],
  ['approve', ['1', 'v2', '77'], ['--comment']],
  ['reject', ['1', 'v2', '77'], ['--comment']],
  ['local', [], ['--port', '--speed', '--faults']],
  ['permissions', [], ['--all', '--json']],
  ['report', [], []],
  ['infer', [], ['--target', '--out']],
  ['help', ['run'], []],
  ['nonsense', [], []],
];

/** Those that take milliseconds and do most; the others draw plots, read data, or list every permission. */
const QUICK = COMMANDS.filter(([name]) => !['report', 'infer', 'permissions', 'help', 'nonsense'].includes(name));
const FLAGS = ['--json', '--all', '--verbose', '--help'];
const OPTIONS = [
  ...new Set(COMMANDS.flatMap(([, , options]) => options)),
  ...FLAGS,
  '--stack',
  '--pipeline',
  '--nonsense',
];

const ADDRESSES = [
  '',
  'nonsense',
  'http://',
  'http:///x',
  'ftp://x',
  'http://[::1',
  'http://a b',
  'http://127.0.0.1:1',
];

/** Words that a person never says: an error that nobody thought of. */
const NAMELESS =
  /\b(Type|Range|Syntax|Reference|Assertion)Error\b|Cannot read prop|is not a function|undefined|\[object /;

const LONGEST_MESSAGE = 5000;

/** Whatever is typed, a command answers, or says in one named error what is wrong; never a stack trace. */
export async function fuzzCommands(cases: number): Promise<Tally> {
  const engine = await engineWithLedger();
  const folder = mkdtempSync(join(tmpdir(), 'perennial-fuzz-'));
  try {
    const paths = await files(folder);
    const cwds = assemblies(folder);
    return await fuzz('commands', cases, async (next) => {
      const args = argumentsOf(next, paths, join(folder, 'out'));
      const roll = next();
      const env = {
        ...engine.environment,
        USER: 'kim',
        ...(roll < 0.8 && { PERENNIAL_STACK: 'Stack' }),
        ...(roll > 0.97 && { AWS_ENDPOINT_URL: pick(next, ADDRESSES) }),
        ...(roll > 0.95 && roll < 0.97 && { PERENNIAL_STACK: pick(next, WORDS) }),
      };
      const [out, err]: [string[], string[]] = [[], []];
      const code = await main(args, {
        env,
        cwd: pick(next, cwds),
        out: (text) => out.push(text),
        err: (text) => err.push(text),
      });
      return judged(args, code, out.join('\n'), err.join('\n'));
    });
  } finally {
    await engine.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

function argumentsOf(next: Random, paths: readonly string[], out: string): string[] {
  const [command, words, options] = pick(next, next() < 0.85 ? QUICK : COMMANDS);
  const word = () => (next() < 0.3 || command === 'infer' ? pick(next, paths) : pick(next, WORDS));
  const given =
    command === 'infer'
      ? [word()]
      : words.length > 0 && next() < 0.5
        ? [pick(next, words)]
        : words.map(word).slice(0, 1);
  const args = [command, ...given, ...(next() < 0.1 ? [word()] : [])];
  for (let i = below(next, 3); i > 0; i--) {
    const option = next() < 0.8 && options.length > 0 ? pick(next, options) : pick(next, OPTIONS);
    args.push(option);
    if (!FLAGS.includes(option) && next() < 0.95)
      args.push(option === '--faults' ? pick(next, paths) : pick(next, WORDS));
  }
  if (next() < 0.02) args.reverse();
  // an engine that starts would run until Ctrl-C, and what is written goes where it does no harm
  if (args.includes('local'))
    args.push('--assembly', next() < 0.5 ? pick(next, paths) : join(out, 'no-assembly'), '--state', join(out, 'state'));
  if (args.includes('report')) args.push('--out', join(out, 'report.html'));
  return args.map((arg, i) => (args[i - 1] === '--out' && args.includes('infer') ? join(out, 'x') : arg));
}

function judged(args: readonly string[], code: number, out: string, err: string): string {
  const said = `${args.join(' ').slice(0, 300)}\n→ ${code}: ${err.slice(0, 1000)}`;
  if (code === 0) return out === '' && err === '' ? broken('it says nothing', said) : 'done';
  if (![1, 2].includes(code)) broken(`the exit code is ${code}`, said);
  if (err === '') broken('it fails without a word', said);
  const isVerbose = args.includes('--verbose'); // which asks where an error came from
  if (NAMELESS.test(err.replace(/ENOENT.*|unknown (command|option).*/g, ''))) broken('the error has no name', said);
  if (!isVerbose && /^\s+at .*:\d+/m.test(err)) broken('it shows a stack trace', said);
  if (err.length > LONGEST_MESSAGE + (isVerbose ? 5000 : 0)) broken(`it says ${err.length} characters`, said);
  return code === 1 ? 'failed by name' : 'wrong usage';
}

function broken(what: string, said: string): never {
  throw new Error(`${what}: ${said}`);
}

/** Files of every kind, good and bad, and none. */
async function files(folder: string): Promise<string[]> {
  const contents: Record<string, string | Uint8Array> = {
    'rides.csv': csv(rides(100)),
    'rides.csv.gz': gzipSync(csv(rides(50))),
    'cut.csv.gz': gzipSync(csv(rides(50))).subarray(0, 300),
    'empty.csv': '',
    'header.csv': 'a,b,c\n',
    'semicolons.csv': 'a;b;label\n1;2;0\n3;4;1\n',
    'nameless.csv': ',a,label\n1,2,0\n2,3,1\n',
    'twice.csv': 'a,a,label\n1,2,0\n2,3,1\n',
    'broken.csv': 'a,b\n"1,2\n3,4\n',
    'binary.csv': new Uint8Array([0, 1, 2, 3]),
    'rides.parquet': await written(
      (path) => `COPY (SELECT i AS a, i % 2 AS label FROM range(50) t(i)) TO '${path}' (FORMAT parquet)`,
    ),
    'nested.parquet': await written(
      (path) => `COPY (SELECT [i] AS a, i % 2 AS label FROM range(50) t(i)) TO '${path}' (FORMAT parquet)`,
    ),
    'text.parquet': 'PAR1 and no more',
    'faults.json': '{"training": [{"kind": "quota"}]}',
    'wrong.json': '{"training": [{"kind": "fire"}]}',
    'torn.json': '{"training": [',
    'image.png': new Uint8Array([0x89, 0x50, 0x4e, 0x47]),
  };
  for (const [name, body] of Object.entries(contents)) writeFileSync(join(folder, name), body);
  mkdirSync(join(folder, 'out', 'no-assembly'), { recursive: true });
  const damaged = Buffer.from(contents['rides.parquet'] as Uint8Array);
  damaged.fill(255, 10, 60);
  writeFileSync(join(folder, 'damaged.parquet'), damaged);
  return [...Object.keys(contents), 'damaged.parquet', 'missing', 'missing/too', ''].map((name) => join(folder, name));
}

/** Working folders whose `cdk.out` is good, bad, or not there. */
function assemblies(folder: string): string[] {
  const stack = (stackName: unknown) => ({ type: 'aws:cloudformation:stack', properties: { stackName } });
  const manifests = [
    JSON.stringify({ artifacts: { Stack: stack('Stack') } }),
    JSON.stringify({ artifacts: { A: stack('A'), B: stack('B') } }),
    JSON.stringify({ artifacts: { A: null } }),
    JSON.stringify({ artifacts: { A: stack({ toString: 1 }) } }),
    JSON.stringify({ artifacts: [] }),
    '{"artifacts": {"__proto__": {"type": "aws:cloudformation:stack"}}}',
    '{}',
    'null',
    '{"artifacts"',
    '',
  ];
  return [
    folder,
    ...manifests.map((manifest, i) => {
      const cwd = join(folder, `cwd-${i}`);
      mkdirSync(join(cwd, 'cdk.out'), { recursive: true });
      writeFileSync(join(cwd, 'cdk.out', 'manifest.json'), manifest);
      return cwd;
    }),
  ];
}
