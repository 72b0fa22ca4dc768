import { S3ServiceException } from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, test } from 'vitest';
import { type MonitorPorts, monitor } from '../../lambdas/watch/monitor.handler';
import type { Contract } from '../../lib/core/dataset/contract';
import { ErrorName, PerennialError } from '../../lib/core/errors';
import { judge } from '../../lib/core/judge/judge';
import { LedgerKey } from '../../lib/core/ledger/keys';
import { Events, runKeys, SMOKE_TEST_ID } from '../../lib/core/names';
import { countCategories, countNumbers, quantileEdges } from '../../lib/core/prepare/profile';
import type { Baseline, MonitorReport } from '../../lib/core/watch/documents';
import { ASSESS_DEFAULTS } from '../../lib/core/watch/findings';
import type { GroundTruth } from '../../lib/core/watch/ground-truth';
import { deployment } from '../support/facts';
import { Crash, crashing, MemoryLedger, MemoryStore } from '../support/memory';

const contract: Contract = {
  kind: 'table',
  columns: [{ name: 'id', type: 'integer', nullable: false, unique: true }],
  key: 'id',
  features: [
    { name: 'distance', kind: 'number', sql: 'distance' },
    { name: 'origin', kind: 'category', sql: 'origin' },
  ],
  target: { name: 'late', sql: 'late', problem: 'binary' },
  slices: [],
  maxBadShare: 0.1,
};

const ROWS = 4000;

/** A flight, and what the model says: the farther, the later. */
function flight(i: number, shift = 0) {
  const distance = ((i * 7919) % 2000) + shift;
  const origin = i % 3 === 0 ? 'OAK' : 'SFO';
  const score = Math.min(1, Math.max(0, ((i * 7919) % 2000) / 2000));
  const late = (i * 104729) % 1000 < score * 1000 ? 1 : 0;
  return { id: String(i), distance, origin, score, late };
}

function baseline(): Baseline {
  const flights = Array.from({ length: ROWS }, (_, i) => flight(i));
  const distances = flights.map(({ distance }) => distance);
  const scores = flights.map(({ score }) => score);
  const labels = flights.map(({ late }) => late);
  return {
    runId: 'r',
    contract,
    profile: {
      contractId: 'c',
      rows: ROWS,
      features: {
        distance: countNumbers(quantileEdges(distances), distances),
        origin: countCategories(
          ['SFO', 'OAK'],
          flights.map(({ origin }) => origin),
        ),
      },
      trivial: { mean: 0.5, median: 0 },
      target: countNumbers([1], labels),
    },
    scores: countNumbers(quantileEdges(scores), scores),
    judgement: judge({
      problem: 'binary',
      labels,
      candidate: scores,
      slices: {},
      rules: { margin: 0.01, confidence: 0.95, firstModelThreshold: 0.5, promote: ['BETTER'], minSliceRows: 1000 },
    }),
  };
}

const BASELINE = baseline();

class World {
  readonly ledger = new MemoryLedger();
  readonly store = new MemoryStore();
  readonly sent: object[] = [];
  readonly metrics: string[] = [];
  known: (wanted: ReadonlySet<string>) => GroundTruth = () => ({ labels: new Map(), rows: 0, bad: 0, reasons: [] });

  constructor() {
    this.ledger.add(deployment({ startedAt: '2026-03-01T00:00:00.000Z', at: '2026-03-01T00:00:00.500Z' }));
    this.store.json(runKeys('r').baseline, BASELINE);
  }

  get ports(): MonitorPorts {
    return {
      pipeline: 'flights',
      endpointName: 'flights',
      rules: { lookBackDays: 45, assess: { ...ASSESS_DEFAULTS, scoreDropThreshold: 0.1 } }, // 4000 rows do not show less
      ledger: this.ledger,
      store: this.store,
      send: async (_, detail) => void this.sent.push(detail),
      groundTruth: async (_key, _version, _contract, wanted) => this.known(wanted),
      metric: (name) => void this.metrics.push(name),
      now: () => new Date('2026-03-02T00:00:00Z'),
    };
  }

  /** Captures flights of one hour, a hundred in a request. */
  capture(hour: number, from: number, to: number, shift = 0, inferenceId?: string): string {
    const lines: string[] = [];
    for (let start = from; start < to; start += 100) {
      const flights = Array.from({ length: Math.min(100, to - start) }, (_, i) => flight(start + i, shift));
      const input = flights.map(({ id, distance, origin }) => `${id},${distance},${origin}\n`).join('');
      const output = flights.map(({ score }) => `${score}\n`).join('');
      lines.push(
        JSON.stringify({
          captureData: {
            endpointInput: { data: input, encoding: 'CSV', mode: 'INPUT' },
            endpointOutput: { data: output, encoding: 'CSV', mode: 'OUTPUT' },
          },
          eventMetadata: { inferenceId, inferenceTime: `2026-03-01T${String(hour).padStart(2, '0')}:00:00Z` },
        }),
      );
    }
    return this.write(hour, `${this.store.objects.size}.jsonl`, `${lines.join('\n')}\n`);
  }

  /** A capture file, written at the beginning of an hour; returns its key. */
  write(hour: number, name: string, text: string): string {
    const two = String(hour).padStart(2, '0');
    const key = `capture/flights/main/2026/03/01/${two}/${name}`;
    this.store.objects.set(key, text);
    this.store.written.set(key, new Date(`2026-03-01T${two}:00:00Z`));
    return key;
  }

  /** Lets an upload tell the ground truth about all flights that are asked for. */
  tell(late: (i: number) => number, bad = 0): void {
    this.known = (wanted) => ({
      labels: new Map([...wanted].map((id) => [id, late(Number(id))])),
      rows: wanted.size + bad,
      bad,
      reasons: bad === 0 ? [] : [{ reason: 'delay: must be at most 1500', rows: bad }],
    });
  }

  report(windowId: string): MonitorReport {
    return this.store.parsed(`monitor/${windowId}.json`);
  }
}

function upload(key = 'ground-truth/march.csv', version = 'v1', time = '2026-03-01T23:00:00Z'): object {
  return { 'detail-type': 'Object Created', time, detail: { object: { key, 'version-id': version } } };
}

function look(hour: number): object {
  return { 'detail-type': Events.SCHEDULE, time: `2026-03-01T${String(hour).padStart(2, '0')}:30:00Z` };
}

let world: World;
beforeEach(() => {
  world = new World();
});

describe('an upload of ground truth', () => {
  test('confirms a model that is as good as it was', async () => {
    world.capture(1, 0, ROWS);
    world.tell((i) => flight(i).late);

    expect((await monitor(world.ports, upload())).verdict).toBe('OK');
    expect(world.sent).toEqual([]);
    const [fact] = world.ledger.all('MONITOR#');
    expect(fact).toMatchObject({ modelVersion: 1, verdict: 'OK', rows: ROWS });
    expect(world.report(fact.windowId)).toMatchObject({
      captured: ROWS,
      groundTruth: { key: 'ground-truth/march.csv' },
      unreadable: [],
    });
    expect(world.metrics).toEqual(['WindowsJudged', 'DriftEffect']);
  });

  test('shows that the model has become worse, and says so once for all copies of the event', async () => {
    world.capture(1, 0, ROWS);
    world.tell((i) => (i * 31) % 2); // chance

    expect((await monitor(world.ports, upload())).verdict).toBe('DRIFT');
    await monitor(world.ports, upload());
    const [fact] = world.ledger.all('MONITOR#');
    expect(world.ledger.all('MONITOR#')).toHaveLength(1);
    expect(world.sent).toEqual([world.sent[0], world.sent[0]]); // the controller knows the window by its id
    expect(world.sent[0]).toMatchObject({
      pipeline: 'flights',
      modelVersion: 1,
      windowId: fact.windowId,
      windowEnd: '2026-03-01T23:00:00.000Z',
      reportKey: `monitor/${fact.windowId}.json`,
    });
    expect(world.ledger.all(LedgerKey.watch(1))[0].groundTruth.windows).toBe(1);
  });

  test('that breaks its contract is blocked: it neither shows drift nor is trained on', async () => {
    world.capture(1, 0, ROWS);
    world.tell((i) => (i * 31) % 2, 2000);

    expect(await monitor(world.ports, upload())).toMatchObject({
      verdict: 'BAD_DATA',
      summary: expect.stringContaining('2000 of 6000 rows break the contract'),
    });
    expect(world.sent).toEqual([]);
    expect(world.ledger.items.get(LedgerKey.refused('ground-truth/march.csv', 'v1'))).toMatchObject({
      versionId: 'v1',
    });
    expect(world.ledger.all(LedgerKey.watch(1))[0].groundTruth.windows).toBe(0);
  });

  test('that cannot be read is blocked, with the reason', async () => {
    world.capture(1, 0, 10);
    world.known = () => {
      throw new PerennialError(ErrorName.DATA_UNREADABLE, 'ground-truth/march.csv cannot be read: it is empty');
    };

    expect(await monitor(world.ports, upload())).toMatchObject({
      verdict: 'BAD_DATA',
      summary: 'ground-truth/march.csv cannot be read: it is empty',
    });
  });

  test('that is gone or not for us is named, and the next upload is judged', async () => {
    world.capture(1, 0, ROWS);
    world.known = () => {
      throw s3Error('NoSuchVersion');
    };
    expect(await monitor(world.ports, upload())).toMatchObject({
      verdict: 'BAD_DATA',
      summary: expect.stringContaining('ground-truth/march.csv cannot be read: NoSuchVersion'),
    });
    world.tell((i) => flight(i).late);
    expect((await monitor(world.ports, upload('ground-truth/april.csv'))).verdict).toBe('OK');
  });

  test('at which the function dies is refused by name at the third try', async () => {
    world.capture(1, 0, 10);
    world.known = () => {
      throw new Crash('out of memory');
    };
    await expect(monitor(world.ports, upload())).rejects.toThrow('out of memory');
    await expect(monitor(world.ports, upload())).rejects.toThrow('out of memory');
    expect(await monitor(world.ports, upload())).toMatchObject({
      verdict: 'BAD_DATA',
      summary: expect.stringContaining('ground-truth/march.csv cannot be read: 2 tries ended without a word'),
    });
    expect(world.ledger.items.get(LedgerKey.refused('ground-truth/march.csv', 'v1'))).toBeDefined();
  });

  test('about rows that nobody asked for says nothing about the model', async () => {
    world.known = () => ({ labels: new Map(), rows: 5, bad: 0, reasons: [] });

    expect(await monitor(world.ports, upload())).toMatchObject({
      verdict: 'INSUFFICIENT',
      summary: expect.stringContaining('none of the 5 rows of ground-truth/march.csv was predicted'),
    });
  });

  test.each(['ground-truth/', 'ground-truth/_SUCCESS', 'ground-truth/day_$folder$'])(
    'is none if it is a marker: %s',
    async (key) => {
      expect((await monitor(world.ports, upload(key))).summary).toContain('holds no ground truth');
      expect(world.ledger.all('MONITOR#')).toEqual([]);
    },
  );

  test('says nothing before a model is in service', async () => {
    world.ledger.items.clear();

    expect((await monitor(world.ports, upload())).summary).toContain('no model is in service');
    expect(world.ledger.items.size).toBe(0);
  });

  test.each(['before', 'after'] as const)(
    'leads to the same end if the monitor crashes %s any of its calls',
    async (when) => {
      for (let at = 0; ; at++) {
        world = new World();
        world.capture(1, 0, ROWS);
        world.tell((i) => (i * 31) % 2);
        let crashed = false;
        await monitor(crashing(world.ports, at, when), upload()).catch((error) => {
          if (!(error instanceof Crash)) throw error;
          crashed = true;
        });
        if (crashed) await monitor(world.ports, upload());

        expect(world.ledger.all('MONITOR#').map(({ verdict }) => verdict)).toEqual(['DRIFT']);
        expect(world.ledger.all(LedgerKey.watch(1))[0].groundTruth.windows).toBe(1);
        expect(world.sent.length).toBeGreaterThan(0);
        if (!crashed) {
          expect(at).toBeGreaterThan(5);
          return;
        }
      }
    },
  );
});

describe('a scheduled look', () => {
  test('finds that the model is asked about other flights than it was trained on', async () => {
    world.capture(1, 0, ROWS, 600);

    expect((await monitor(world.ports, look(2))).verdict).toBe('DRIFT');
    const [fact] = world.ledger.all('MONITOR#');
    const drifted = world.report(fact.windowId).findings.filter((finding) => finding.drifted);
    expect(drifted.map(({ feature }) => feature)).toEqual(['distance']);
  });

  test('judges every captured row once', async () => {
    world.capture(1, 0, ROWS);
    expect((await monitor(world.ports, look(2))).verdict).toBe('OK');
    world.capture(3, ROWS, 2 * ROWS);
    expect((await monitor(world.ports, look(4))).verdict).toBe('OK');

    expect(world.ledger.all('MONITOR#').map(({ rows }) => rows)).toEqual([ROWS, ROWS]);
    expect((await monitor(world.ports, look(5))).summary).toContain('nothing was captured');
  });

  test('takes rows in again that were too few', async () => {
    world.capture(1, 0, 20);
    expect((await monitor(world.ports, look(2))).verdict).toBe('INSUFFICIENT');
    world.capture(3, 20, ROWS);
    expect((await monitor(world.ports, look(4))).verdict).toBe('OK');

    expect(world.ledger.all('MONITOR#').map(({ rows }) => rows)).toEqual([20, ROWS]);
  });

  test('leaves out what other models were asked, and the smoke test', async () => {
    world.ledger.add(deployment({ startedAt: '2026-03-01T00:00:00.000Z', at: '2026-03-01T02:00:00.500Z' }));
    world.capture(1, 0, 100);
    world.capture(2, 100, 120);
    world.capture(3, 200, 220, 0, SMOKE_TEST_ID);
    await monitor(world.ports, look(4));

    expect(world.ledger.all('MONITOR#')[0].rows).toBe(20);
  });

  test('counts the lines that it cannot read, once', async () => {
    world.capture(1, 0, 20);
    world.write(1, 'x.jsonl', '{"half\n{"half\n');
    await monitor(world.ports, look(2));

    const [{ windowId, summary }] = world.ledger.all('MONITOR#');
    expect(world.report(windowId).unreadable).toEqual([{ reason: expect.stringContaining('no JSON'), rows: 2 }]);
    expect(summary).toContain('2 captured lines cannot be read, most often because the line is no JSON');
  });

  test('goes on with the next window after one that holds nothing but odd lines, and counts them in it alone', async () => {
    world.write(1, 'x.jsonl', '{"half\n7\n');
    expect(await monitor(world.ports, look(2))).toMatchObject({
      verdict: 'INSUFFICIENT',
      summary: expect.stringContaining('2 captured lines cannot be read'),
    });
    expect(world.metrics).toEqual([]); // so that the alarm on a monitor that sees nothing fires
    world.capture(3, 0, ROWS);
    await monitor(world.ports, look(4));
    const facts = world.ledger.all('MONITOR#');
    expect(facts.map(({ verdict, rows }) => [verdict, rows])).toEqual([
      ['INSUFFICIENT', 0],
      ['OK', ROWS],
    ]);
    expect(world.report(facts[1].windowId).unreadable).toEqual([]);
  });

  test.each(['NoSuchKey', 'AccessDenied', 'InvalidObjectState', 'KMS.DisabledException'])(
    'judges the rest where a file cannot be had (%s), and names it',
    async (name) => {
      world.capture(1, 0, ROWS);
      const key = world.write(1, 'gone.jsonl', '');
      const lines = world.store.lines.bind(world.store);
      world.store.lines = async (one, most) => {
        if (one === key) throw s3Error(name);
        return lines(one, most);
      };
      expect((await monitor(world.ports, look(2))).verdict).toBe('OK');
      const [{ windowId, rows, summary }] = world.ledger.all('MONITOR#');
      expect(rows).toBe(ROWS);
      expect(summary).toContain(`1 capture files cannot be had, e.g. ${key} (${name}`);
      expect(world.report(windowId).unavailable).toEqual({
        files: 1,
        named: [{ key, because: expect.stringContaining(name) }],
      });
    },
  );

  test('is tried again where a file cannot be had for now', async () => {
    world.capture(1, 0, ROWS);
    const lines = world.store.lines.bind(world.store);
    world.store.lines = async () => {
      throw s3Error('SlowDown', 'server');
    };
    await expect(monitor(world.ports, look(2))).rejects.toThrow('SlowDown');
    world.store.lines = lines;
    expect((await monitor(world.ports, look(2))).verdict).toBe('OK');
  });

  test('misses no row that was written after the look at its hour', async () => {
    world.capture(1, 0, ROWS);
    await monitor(world.ports, look(2));
    const late = world.capture(2, ROWS, 2 * ROWS);
    world.store.written.set(late, new Date('2026-03-01T02:45:00Z'));
    await monitor(world.ports, look(3));

    expect(world.ledger.all('MONITOR#').map(({ rows }) => rows)).toEqual([ROWS, ROWS]);
  });

  test.each<[string, unknown, RegExp]>([
    ['no event', null, /must be/],
    ['no type', { time: '2026-03-01T00:00:00Z' }, /detail-type must be/],
    ['no time', { 'detail-type': Events.SCHEDULE }, /time must be/],
    ['a key that is none', { ...upload(), detail: { object: { key: 7 } } }, /detail.object.key must be/],
    ['no object', { ...upload(), detail: null }, /detail must be/],
    [
      'an odd version',
      { ...upload(), detail: { object: { key: 'ground-truth/a.csv', 'version-id': {} } } },
      /version-id must be/,
    ],
  ])('names what is wrong with %s', async (_, event, message) => {
    await expect(monitor(world.ports, event)).rejects.toThrow(
      expect.objectContaining({ name: ErrorName.INVALID_DOCUMENT, message: expect.stringMatching(message) }),
    );
  });
});

function s3Error(name: string, fault: 'client' | 'server' = 'client'): S3ServiceException {
  return new S3ServiceException({ name, message: name, $fault: fault, $metadata: {} });
}
