import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';

const { options } = ts.parseJsonConfigFileContent(
  ts.readConfigFile('tsconfig.json', ts.sys.readFile).config,
  ts.sys,
  process.cwd(),
);
const host = ts.createCompilerHost(options);
const parsed = new Map<string, ts.SourceFile | undefined>();

/** The files, of some, that no longer compile once a file has another text. */
function broken(changed: string, text: string, files: readonly string[]): string[] {
  const program = ts.createProgram([...files], options, {
    ...host,
    getSourceFile(name, target) {
      if (resolve(name) === resolve(changed)) return ts.createSourceFile(name, text, target);
      if (!parsed.has(name)) parsed.set(name, host.getSourceFile(name, target));
      return parsed.get(name);
    },
  });
  return files.filter((file) => program.getSemanticDiagnostics(program.getSourceFile(file)).length > 0);
}

/** The text of a file in which a member of an interface has another name. */
function renamed(file: string, owner: string, member: string): string {
  const text = readFileSync(file, 'utf8');
  const [body] = new RegExp(`^export interface ${owner} .*?^}`, 'ms').exec(text) ?? [''];
  return text.replace(body, body.replace(new RegExp(`readonly ${member}\\b`), `readonly ${member}Renamed`));
}

/** What a machine sends a function and is answered: where it is declared, a member, and the files of both sides. */
const SEAMS: ReadonlyArray<readonly [file: string, owner: string, member: string, machine: string, handler: string]> = [
  ['dataset/documents', 'SnapshotRequest', 'split', 'training-pipeline', 'dataset/snapshot'],
  ['dataset/documents', 'SnapshotReport', 'dataVersion', 'training-pipeline', 'dataset/snapshot'],
  ['prepare/documents', 'PrepareRequest', 'runId', 'training-pipeline', 'prepare/prepare'],
  ['train/documents', 'AttemptRequest', 'progress', 'train/train', 'train/attempt'],
  ['train/documents', 'AttemptReport', 'waitSeconds', 'train/train', 'train/attempt'],
  ['registry/documents', 'SealRequest', 'model', 'registry/seal', 'registry/seal-model'],
  ['judge/documents', 'ChampionRequest', 'candidate', 'judge/score', 'judge/champion'],
  ['judge/documents', 'ChampionReport', 'champion', 'judge/score', 'judge/champion'],
  ['judge/documents', 'JudgeRequest', 'rules', 'judge/score', 'judge/judge'],
  ['judge/documents', 'JudgeReport', 'because', 'registry/register', 'judge/judge'],
  ['ledger/documents', 'FinishRequest', 'candidateModel', 'training-pipeline', 'ledger/finish'],
];

describe('a member that is renamed breaks both the machine that sends or reads it and its handler', () => {
  test.each(SEAMS)('%s: %s.%s', { timeout: 120_000 }, (file, owner, member, machine, handler) => {
    const declared = `lib/core/${file}.ts`;
    const sides = [`lib/${machine}.ts`, `lambdas/${handler}.handler.ts`];
    const text = renamed(declared, owner, member);
    expect(text).toContain(`readonly ${member}Renamed`);
    expect(broken(declared, text, sides)).toEqual(sides);
  });

  test('and nothing is broken as it is', () => {
    const sides = [
      ...new Set(SEAMS.flatMap(([, , , machine, handler]) => [`lib/${machine}.ts`, `lambdas/${handler}.handler.ts`])),
    ];
    const declared = 'lib/core/train/documents.ts';
    expect(broken(declared, readFileSync(declared, 'utf8'), sides)).toEqual([]);
  });
});
