import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const { options } = ts.parseJsonConfigFileContent(
  { ...ts.readConfigFile('tsconfig.json', ts.sys.readFile).config, include: [], files: [] },
  ts.sys,
  process.cwd(),
);
const host = ts.createCompilerHost(options);
const parsed = new Map<string, ts.SourceFile | undefined>();

/** Stands for all packages: what is looked at are our own types, and theirs take half a minute to read. */
const PACKAGES = 'packages.d.ts';
const ANYTHING = ['aws-cdk-lib', 'aws-cdk-lib/*', 'constructs', '@aws-sdk/*', '@duckdb/*', 'node:*']
  .map((name) => `declare module '${name}';`)
  .join('\n');

/** What the compiler says about each of some files once a file has another text. */
function mistakesIn(files: readonly string[], changed: string, text: string): string[] {
  const program = ts.createProgram(
    [...files, PACKAGES],
    { ...options, types: [] },
    {
      ...host,
      fileExists: (name) => name === PACKAGES || (!name.includes('node_modules') && host.fileExists(name)),
      getSourceFile(name, target) {
        if (name === PACKAGES) return ts.createSourceFile(name, ANYTHING, target);
        if (resolve(name) === resolve(changed)) return ts.createSourceFile(name, text, target);
        if (!parsed.has(name)) parsed.set(name, host.getSourceFile(name, target));
        return parsed.get(name);
      },
    },
  );
  return files.flatMap((file) =>
    program
      .getSemanticDiagnostics(program.getSourceFile(file))
      .map(({ messageText }) => `${file}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`),
  );
}

/** The files, of some, about which the compiler says more once a file has another text. */
function broken(changed: string, text: string, files: readonly string[]): string[] {
  const before = new Set(mistakesIn(files, changed, readFileSync(changed, 'utf8')));
  const found = mistakesIn(files, changed, text).filter((mistake) => !before.has(mistake));
  return files.filter((file) => found.some((mistake) => mistake.startsWith(file)));
}

/** The text of a file in which a member of an interface has another name. */
function renamed(file: string, owner: string, member: string): string {
  const text = readFileSync(file, 'utf8');
  const [body] = new RegExp(`^export interface ${owner} .*?^}`, 'ms').exec(text) ?? [''];
  return text.replace(body, body.replace(new RegExp(`readonly ${member}\\b`), `readonly ${member}Renamed`));
}

/** What a machine or a construct tells a function, and is answered: where it is declared, a member, and the files of both sides. */
const SEAMS: ReadonlyArray<readonly [file: string, owner: string, member: string, machine: string, handler: string]> = [
  ['dataset/documents', 'SnapshotRequest', 'split', 'dataset/snapshot-step', 'dataset/snapshot'],
  ['dataset/documents', 'SnapshotReport', 'dataVersion', 'dataset/snapshot-step', 'dataset/snapshot'],
  ['prepare/documents', 'PrepareRequest', 'runId', 'prepare/prepare-step', 'prepare/prepare'],
  ['train/documents', 'AttemptRequest', 'progress', 'train/train-step', 'train/attempt'],
  ['train/documents', 'AttemptReport', 'waitSeconds', 'train/train-step', 'train/attempt'],
  ['registry/documents', 'SealRequest', 'model', 'registry/seal-step', 'registry/seal-model'],
  ['judge/documents', 'ChampionRequest', 'candidate', 'judge/judge-step', 'judge/champion'],
  ['judge/documents', 'ChampionReport', 'champion', 'judge/judge-step', 'judge/champion'],
  ['judge/documents', 'JudgeRequest', 'rules', 'judge/judge-step', 'judge/judge'],
  ['judge/documents', 'JudgeReport', 'because', 'registry/register-step', 'judge/judge'],
  ['ledger/documents', 'FinishRequest', 'candidateModel', 'ledger/finish-step', 'ledger/finish'],
  ['dataset/documents', 'TrainingInput', 'reason', 'dataset/snapshot-step', 'dataset/snapshot'],
  ['watch/documents', 'MonitorRules', 'lookBackDays', 'watch/drift-monitor', 'watch/monitor'],
];

describe('a member that is renamed breaks both who sends or reads it and its handler', () => {
  test.each(SEAMS)('%s: %s.%s', (file, owner, member, machine, handler) => {
    const declared = `lib/core/${file}.ts`;
    const sides = [`lib/${machine}.ts`, `lambdas/${handler}.handler.ts`];
    const text = renamed(declared, owner, member);
    expect(text).toContain(`readonly ${member}Renamed`);
    expect(broken(declared, text, sides)).toEqual(sides);
  });

  test('and what neither knows breaks none', () => {
    const declared = 'lib/core/train/documents.ts';
    const text = `${readFileSync(declared, 'utf8')}\nexport interface Another { readonly runId: number }\n`;
    expect(broken(declared, text, ['lib/train/train-step.ts', 'lambdas/train/attempt.handler.ts'])).toEqual([]);
  });
});
