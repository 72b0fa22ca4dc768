import { expect, test } from 'vitest';
import { fuzzCommands } from './commands';
import { fuzzContract } from './contract';
import { fuzzDocuments } from './documents';
import { CASES } from './fuzz';
import { fuzzControllerMessages, fuzzDeploymentMessages, fuzzMonitorEvents } from './messages';
import { slowly, type Tally } from './mutate';
import { fuzzPreparation } from './preparation';

test.each<[what: string, run: (cases: number) => Promise<Tally>, cases: number]>([
  ['contract', fuzzContract, CASES],
  ['document', fuzzDocuments, CASES],
  ['message to the controller', fuzzControllerMessages, slowly(150)],
  ['message to the deployments', fuzzDeploymentMessages, slowly(150)],
  ['question to the monitor', fuzzMonitorEvents, slowly(500)],
  ['file', fuzzPreparation, slowly(200)],
  ['command', fuzzCommands, slowly(150)],
])(
  'whatever changes a %s, it is taken or refused by name',
  async (_, run, cases) => {
    const { broken, outcomes } = await run(cases);
    expect(broken).toEqual([]);
    expect(Object.values(outcomes).reduce((sum, some) => sum + some, 0)).toBe(cases);
    expect(Object.values(outcomes).every((some) => some > cases / 50)).toBe(true); // none of both is rare
  },
  3_600_000,
);
