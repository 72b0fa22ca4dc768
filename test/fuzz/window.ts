import { type MonitorPorts, monitor } from '../../lambdas/watch/monitor.handler';
import type { Contract } from '../../lib/core/dataset/contract';
import { Events, runKeys } from '../../lib/core/names';
import type { MonitorReport } from '../../lib/core/watch/documents';
import type { AssessRules } from '../../lib/core/watch/findings';
import { deployment } from '../support/facts';
import { MemoryLedger, MemoryStore } from '../support/memory';
import { watchedBaseline } from '../support/watched';

/** Lets the monitor look once at captured lines, of a model whose features are `distance` and `origin`. */
export async function lookAt(contract: Contract, lines: readonly string[], assess: AssessRules) {
  const ledger = new MemoryLedger();
  const store = new MemoryStore();
  ledger.add(deployment({ startedAt: '2026-03-01T00:00:00.000Z' }));
  store.json(runKeys('r').baseline, watchedBaseline(contract));
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
