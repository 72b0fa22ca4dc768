import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { INSTALL_DUCKDB } from '../../engine/src/services/lambda/duckdb';
import { type CliContext, CommandError } from './failure';

export function addInfer(program: Command, context: CliContext): void {
  program
    .command('infer <file>')
    .description('write a first data contract from a CSV or Parquet file; read it before you keep it')
    .option('--target <column>', 'what is to be predicted (default: the column that looks like it)')
    .option('--out <file>', 'where to (default: the terminal)')
    .addHelpText('after', '\nExample:\n  $ perennial infer january.parquet --target late --out contract.json')
    .action(async (file: string, options: { readonly target?: string; readonly out?: string }) => {
      const { infer } = await import('./infer').catch(withoutDuckDb);
      const { contract, notes } = await infer(resolve(context.cwd, file), options);
      const text = JSON.stringify(contract, undefined, 2);
      if (options.out === undefined) {
        context.out(text);
      } else {
        const out = resolve(context.cwd, options.out);
        try {
          writeFileSync(out, `${text}\n`, { flag: 'wx' });
        } catch (error) {
          const { code, message } = error as NodeJS.ErrnoException;
          throw new CommandError(
            code === 'EEXIST' ? `${out} exists already: delete it or name another` : `cannot write ${out}: ${message}`,
          );
        }
        context.err(`wrote ${out}`);
      }
      for (const note of notes) context.err(`look at ${note}`);
    });
}

/** Only this command reads data; npm may have been told to leave optional packages out. */
function withoutDuckDb(error: Error & { readonly code?: string }): never {
  if (error.code !== 'ERR_MODULE_NOT_FOUND' || !error.message.includes('@duckdb')) throw error;
  throw new CommandError(`infer reads data with DuckDB, which is not installed: ${INSTALL_DUCKDB}`);
}
