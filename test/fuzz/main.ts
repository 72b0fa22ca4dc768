import { fuzzContract } from './contract';
import type { Tally } from './mutate';

const FUZZERS: Readonly<Record<string, (cases: number, seed: number) => Promise<Tally>>> = {
  contract: fuzzContract,
};

async function main([name = '', cases = '1000', seed = '1']: string[]): Promise<void> {
  const run = FUZZERS[name];
  if (run === undefined)
    throw new Error(`there must be a fuzzer's name: ${Object.keys(FUZZERS).join(', ')}, got '${name}'`);
  const began = performance.now();
  const tally = await run(Number(cases), Number(seed));
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(JSON.stringify({ name, seed: Number(seed), seconds, ...tally }, undefined, 1));
  if (tally.brokenCases > 0) process.exitCode = 1;
}

void main(process.argv.slice(2));
