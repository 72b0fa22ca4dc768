import { type MonitorPorts, monitor } from '../../lambdas/watch/monitor.handler';
import type { Contract } from '../../lib/core/dataset/contract';
import { judge } from '../../lib/core/judge/judge';
import { Events, runKeys } from '../../lib/core/names';
import { countCategories, countNumbers } from '../../lib/core/prepare/profile';
import type { Baseline, MonitorReport } from '../../lib/core/watch/documents';
import type { AssessRules } from '../../lib/core/watch/findings';
import { MemoryLedger, MemoryStore } from '../support/memory';

/** Lets the monitor look once at captured lines, of a model whose features are `distance` and `origin`. */
export async function lookAt(contract: Contract, lines: readonly string[], assess: AssessRules) {
  const ledger = new MemoryLedger();
  const store = new MemoryStore();
  ledger.put('DEPLOYMENT#2026-03-01#d', { version: 1, runId: 'r', outcome: 'DEPLOYED', at: '2026-03-01T00:00:00Z' });
  store.json(runKeys('r').baseline, baseline(contract));
  const key = 'capture/flights/main/2026/03/01/12/a.jsonl';
  store.objects.set(key, lines.join('\n'));
  store.written.set(key, new Date('2026-03-01T12:00:01Z'));
  const ports: MonitorPorts = {
    pipeline: 'flights',
    endpointName: 'flights',
    rules: { lookBackDays: 45, assess },
    ledger,
    store,
    send: async () => {},
    groundTruth: async () => ({ labels: new Map(), rows: 0, bad: 0, reasons: [] }),
    metric: () => {},
    now: () => new Date('2026-03-01T13:00:00Z'),
  };
  const answer = await monitor(ports, { 'detail-type': Events.SCHEDULE, time: '2026-03-01T13:00:00Z' });
  const [{ reportKey }] = ledger.all('MONITOR#');
  return { ...answer, report: store.parsed<MonitorReport>(reportKey) };
}

function baseline(contract: Contract): Baseline {
  const scores = Array.from({ length: 1000 }, (_, i) => i / 1000);
  const labels = scores.map((score, i) => ((i * 104729) % 1000 < score * 1000 ? 1 : 0));
  return {
    runId: 'r',
    contract,
    profile: {
      contractId: 'c',
      rows: 1000,
      features: {
        distance: countNumbers(
          [500, 1000, 2000],
          scores.map((score) => score * 2500),
        ),
        origin: countCategories(
          ['OAK', 'SFO'],
          scores.map((_, i) => (i % 2 === 0 ? 'OAK' : 'SFO')),
        ),
      },
      trivial: { mean: 0.5, median: 0 },
      target: countNumbers([1], labels),
    },
    scores: countNumbers([0.25, 0.5, 0.75], scores),
    judgement: judge({
      problem: 'binary',
      labels,
      candidate: scores,
      slices: {},
      rules: { margin: 0.01, confidence: 0.95, firstModelThreshold: 0.5, promote: ['BETTER'], minSliceRows: 1000 },
    }),
  };
}
