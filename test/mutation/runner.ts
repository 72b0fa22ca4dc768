import { appendFileSync, readFileSync } from 'node:fs';
import { relative } from 'node:path';
import { type RunnerTask, type RunnerTestFile, type RunnerTestSuite, TestRunner } from 'vitest';
import { type Breaking, breakWith, install } from './hook';

/** What runs: see `batch.mjs`. */
const { mutants, events, red, whole }: { mutants: string[]; events: string; red: string[]; whole?: boolean } =
  JSON.parse(readFileSync(process.env.PERENNIAL_MUTANTS as string, 'utf8'));
const killed = new Set<string>();
let failures: string[] = [];
let breaking: Breaking | undefined;
let began = 0;

install();

/**
 * Runs test files once for every mutant, in one process: the file of a specification ends in `?mutant=<its number>`.
 * What a file does not notice the next may; a mutant that was noticed runs no more.
 */
export default class MutationRunner extends TestRunner {
  override importFile(path: string, source: 'setup' | 'collect'): unknown {
    if (source === 'setup') return super.importFile(path, source);
    const [file = '', query = ''] = path.split('?');
    const mutant = mutants[Number(query.replace('mutant=', ''))];
    if (mutant !== undefined && !whole && killed.has(mutant)) return undefined;
    failures = [];
    began = Date.now();
    breaking = { file: relative(process.cwd(), file), ...(mutant && { mutant }), places: new Set(), synthesized: 0 };
    tell({ type: 'begins', mutant, file: breaking.file });
    breakWith(breaking);
    return super.importFile(file, source);
  }

  onCollected(files: RunnerTestFile[]): void {
    for (const file of files) if (file.result?.state === 'fail') this.failed('does not load', file);
  }

  override async onBeforeRunTask(test: RunnerTask): Promise<void> {
    if (this.isOver()) test.mode = 'skip';
    await super.onBeforeRunTask(test as never);
  }

  override onAfterRunTask(test: RunnerTask): void {
    super.onAfterRunTask(test);
    if (test.result?.state === 'fail') this.failed(fullName(test), test);
  }

  override async onAfterRunSuite(suite: RunnerTestSuite): Promise<void> {
    await super.onAfterRunSuite(suite);
    const own = suite.result?.state === 'fail' && (suite.result.errors?.length ?? 0) > 0;
    if (own) this.failed(`${fullName(suite)}: hooks`, suite);
  }

  override onAfterRunFiles(files: RunnerTestFile[]): void {
    super.onAfterRunFiles(files);
    if (breaking === undefined) return;
    const { file, mutant, places } = breaking;
    const found = mutant === undefined ? [...places] : places.size;
    tell({ type: 'ended', mutant, file, places: found, failures, ms: Date.now() - began });
    breaking = undefined;
    breakWith(undefined);
  }

  /** With nothing broken every test runs, to know which are red anyway. */
  private isOver(): boolean {
    return !whole && breaking?.mutant !== undefined && killed.has(breaking.mutant);
  }

  private failed(test: string, { result }: RunnerTask): void {
    if (breaking === undefined) return;
    const { mutant, file } = breaking;
    if (red.includes(`${file} > ${test}`)) return;
    failures.push(test);
    if (mutant === undefined || killed.has(mutant)) return;
    killed.add(mutant);
    tell({ type: 'noticed', mutant, by: `${file} > ${test}`, because: result?.errors?.[0]?.message.slice(0, 300) });
  }
}

function tell(event: object): void {
  appendFileSync(events, `${JSON.stringify(event)}\n`);
}

function fullName(task: RunnerTask): string {
  const above = task.suite && task.suite.name !== '' ? [fullName(task.suite)] : [];
  return [...above, task.name].join(' > ');
}
