import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensurePython, imageRequirements } from '../../engine/src/containers/python';
import { unpack } from '../../engine/src/services/sagemaker/untar';

let python: string;
let code: string;
let data: string;

/** 4,000 rows whose outcome depends on a number and a category; some of both are missing. */
const MAKE_DATA = `
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
folder = Path(sys.argv[1]); rng = np.random.default_rng(0)
def table(rows):
    hour, city = rng.integers(0, 24, rows).astype(float), rng.integers(0, 3, rows)
    late = rng.random(rows) < 0.1 + 0.02 * hour + 0.3 * (city == 1)
    names = [None if rng.random() < 0.05 else ['ATL', 'BOS', 'NYC'][c] for c in city]
    return pa.table({'hour': [None if rng.random() < 0.05 else h for h in hour], 'city': pa.array(names, pa.string()), 'late': late})
for name, rows in [('train', 3000), ('validation', 1000)]:
    t = table(rows)
    for kind, made in [(name, t), (f'{name}-one-class', t.set_column(2, 'late', pa.array([False] * rows))),
                       (f'{name}-empty', t.slice(0, 0)),
                       (f'{name}-odd-names', t.rename_columns(['hour [h] <24', 'hour _h_ _24', 'late'])),
                       (f'{name}-number', t.set_column(2, 'late', pa.array(t['hour'].fill_null(0).to_numpy() * 2)))]:
        (folder / kind).mkdir(); pq.write_table(made, folder / kind / 'part.parquet')
`;

beforeAll(async () => {
  python = await ensurePython(imageRequirements('sagemaker-xgboost:3.2-0') as string);
  code = mkdtempSync(join(tmpdir(), 'code-'));
  await unpack('dist/training/xgboost.tar.gz', code); // as SageMaker has it, with what all trainers share
  data = mkdtempSync(join(tmpdir(), 'rows-'));
  const made = spawnSync(python, ['-c', MAKE_DATA, data], { encoding: 'utf8' });
  expect(made.stderr).toBe('');
}, 300_000);

interface Job {
  readonly root: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

function job(
  parameters: Record<string, string | number | undefined> = {},
  variant = '',
  root = mkdtempSync(join(tmpdir(), 'ml-')),
): Job {
  const all = {
    problem: 'binary',
    seed: 7,
    num_round: 30,
    checkpoint_rounds: 10,
    early_stopping_rounds: 0,
    ...parameters,
  };
  return {
    root,
    args: [join(code, 'train.py'), ...Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)])],
    env: {
      ...process.env,
      SM_MODEL_DIR: join(root, 'model'),
      SM_CHANNEL_TRAIN: join(data, `train${variant}`),
      SM_CHANNEL_VALIDATION: join(data, `validation${variant}`),
      OMP_NUM_THREADS: '1', // so few rows are not worth a second thread
    },
  };
}

function train({ args, env }: Job) {
  const { status, stdout, stderr } = spawnSync(python, args, { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const modelOf = ({ root }: Job) => readFileSync(join(root, 'model', 'xgboost-model.ubj'));
const failureOf = ({ root }: Job) => readFileSync(join(root, 'output', 'failure'), 'utf8');

/** What the model of a job answers to some CSV. */
function ask({ root }: Job, body: string, type = 'text/csv'): { scores?: number[]; status?: number; message?: string } {
  const script = `
import sys, json; sys.path.insert(0, sys.argv[1] + '/code')
import inference
try:
    model = inference.model_fn(sys.argv[1])
    answer = inference.output_fn(inference.predict_fn(inference.input_fn(sys.stdin.read(), sys.argv[2]), model), 'text/csv')
    print(json.dumps({'scores': [float(field) for field in answer.replace(',', ' ').split()]}))
except ValueError as error:
    print(json.dumps({'status': error.status_code, 'message': error.message}))
`;
  const { stdout, stderr } = spawnSync(python, ['-c', script, join(root, 'model'), type], {
    input: body,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

describe('training', () => {
  it('learns, prints its metrics, and writes what serving needs', () => {
    const one = job({ key: 'flight' });

    const { status, stdout } = train(one);

    expect(status).toBe(0);
    expect(Number(/^validation:auc=([0-9.]+)$/m.exec(stdout)?.[1])).toBeGreaterThan(0.65);
    expect(stdout).toMatch(/^train:logloss=[0-9.]+$/m);
    expect(JSON.parse(readFileSync(join(one.root, 'model', 'model.json'), 'utf8'))).toMatchObject({
      problem: 'binary',
      key: 'flight',
      target: 'late',
      xgboost: '3.2.0',
      features: [
        { name: 'hour', kind: 'number' },
        { name: 'city', kind: 'category', categories: ['ATL', 'BOS', 'NYC'] },
      ],
    });
    expect(existsSync(join(one.root, 'model', 'code', 'inference.py'))).toBe(true);
  });

  it.each([{}, { subsample: 0.7, colsample_bytree: 0.5 }])(
    'gives the same model for the same seed (%j)',
    (parameters) => {
      const [one, two] = [job(parameters), job(parameters)];
      train(one);
      train(two);

      expect(modelOf(one).equals(modelOf(two))).toBe(true);
    },
  );

  it('takes features by names that XGBoost refuses, and serves them', () => {
    const one = job({}, '-odd-names');

    expect(train(one).status).toBe(0);
    const { features } = JSON.parse(readFileSync(join(one.root, 'model', 'model.json'), 'utf8'));
    expect(features.map(({ name }: { name: string }) => name)).toEqual(['hour [h] <24', 'hour _h_ _24']);
    const plain = job();
    train(plain);
    expect(ask(one, '3,ATL\n21,BOS\n').scores).toEqual(ask(plain, '3,ATL\n21,BOS\n').scores);
  });

  it('stops early where validation gets no better', () => {
    const one = job({ num_round: 500, eta: 0.5, early_stopping_rounds: 5 });

    const { stdout } = train(one);

    expect(Number(/^rounds=(\d+)$/m.exec(stdout)?.[1])).toBeLessThan(100);
  });

  it.each([{}, { subsample: 0.7 }])(
    'gives the same model after an interruption as without one (%j)',
    async (parameters) => {
      const whole = job({ ...parameters, num_round: 400, max_depth: 2 });
      train(whole);
      const cut = job({ ...parameters, num_round: 400, max_depth: 2 });

      const child = spawn(python, cut.args as string[], { env: cut.env, stdio: ['ignore', 'pipe', 'inherit'] });
      await printed(child, /round 20:/);
      child.kill('SIGTERM');
      const code = await new Promise((done) => child.on('exit', done));
      const checkpoints = readdirSync(join(cut.root, 'checkpoints'));
      const { stdout } = train(cut);

      expect(code).toBe(143);
      expect(checkpoints.length).toBeGreaterThan(0);
      expect(stdout).toMatch(/going on after round \d+/);
      expect(modelOf(cut).equals(modelOf(whole))).toBe(true);
    },
  );

  it('starts anew where the checkpoints are of other parameters', () => {
    const one = job();
    train(one);
    const other = job({ max_depth: 3 }, '', one.root);

    expect(train(other).stdout).toMatch(/of other data or parameters and is left out/);
  });

  it.each([
    ['one class', {}, '-one-class', /target late must have both classes to learn from, got only 0 in all 3000 rows/],
    ['no rows', {}, '-empty', /channel train must have rows, got none/],
    ['numbers as classes', {}, '-number', /target late of channel train must be 0 or 1, got \[2\.0/],
    [
      'a problem that it does not know',
      { problem: 'ranking' },
      '',
      /problem must be one of binary, regression, got 'ranking'/,
    ],
    ['no rounds', { num_round: 0 }, '', /num_round must be a whole number of at least 1, got 0/],
    ['a parameter that XGBoost refuses', { max_depth: 'deep' }, '', /max_depth/],
  ])('says what is wrong: %s', (_, parameters, variant, message) => {
    const one = job(parameters, variant);

    expect(train(one).status).toBe(1);
    expect(failureOf(one)).toMatch(message);
  });

  it('says that a channel is missing', () => {
    const one = job({}, '-none');

    expect(train(one).status).toBe(1);
    expect(failureOf(one)).toMatch(/channel train must hold Parquet files/);
  });

  it('learns numbers too', () => {
    const one = job({ problem: 'regression' }, '-number');

    expect(train(one).stdout).toMatch(/^validation:rmse=[0-9.]+$/m);
    const [low, high] = ask(one, '1,ATL\n20,ATL').scores ?? [];
    expect(high - low).toBeGreaterThan(30);
  });
});

describe('a third problem, which is a class and its entry in problems.py', () => {
  const THIRD = `
class Third(Regression):
    "Which third of the day it is."
    name = "third"
    metrics = ("merror", "mlogloss")
    more_is_better = False
    @staticmethod
    def booster(target): return {"objective": "multi:softprob", "num_class": 3}
    @staticmethod
    def mistake(target): return None if np.isin(target, (0, 1, 2)).all() else "0, 1 or 2"
    @staticmethod
    def lack(target): return None if len(np.unique(target)) == 3 else "all thirds"

PROBLEMS[Third.name] = Third
`;
  const MAKE_THIRDS = `
import sys, pyarrow.parquet as pq, pyarrow as pa, numpy as np
from pathlib import Path
folder = Path(sys.argv[1])
for name in ('train', 'validation'):
    t = pq.read_table(folder / name / 'part.parquet')
    third = t['hour'].fill_null(0).to_numpy() // 8
    for kind, values in (('thirds', third), ('two-thirds', np.minimum(third, 1))):
        (folder / f'{name}-{kind}').mkdir()
        pq.write_table(t.set_column(2, 'third', pa.array(values)), folder / f'{name}-{kind}' / 'part.parquet')
`;
  beforeAll(() => {
    appendFileSync(join(code, 'problems.py'), THIRD);
    expect(spawnSync(python, ['-c', MAKE_THIRDS, data], { encoding: 'utf8' }).stderr).toBe('');
  });

  it('is learnt, measured and served, with a number for each class', () => {
    const one = job({ problem: 'third' }, '-thirds');
    const { stdout, status } = train(one);
    expect(status).toBe(0);
    expect(Number(/^validation:mlogloss=([0-9.]+)$/m.exec(stdout)?.[1])).toBeLessThan(0.5);
    const shares = ask(one, '1,ATL\n20,ATL').scores ?? [];
    expect(shares).toHaveLength(6);
    expect(shares.slice(0, 3).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 5);
    expect([Math.max(...shares.slice(0, 3)), Math.max(...shares.slice(3))]).toEqual([shares[0], shares[5]]);
  });

  it.each([
    ['other labels', '-number', /target late of channel train must be 0, 1 or 2/],
    ['too few classes', '-two-thirds', /target third must have all thirds of channel train/],
  ])('refuses %s', (_, variant, message) => {
    const one = job({ problem: 'third' }, variant);
    expect(train(one).status).toBe(1);
    expect(failureOf(one)).toMatch(message);
  });
});

describe('serving', () => {
  let keyed: Job;
  beforeAll(() => {
    keyed = job({ key: 'flight' });
    train(keyed);
  });

  it('answers one probability a row; the key decides nothing', () => {
    const { scores = [] } = ask(keyed, '1,3.0,BOS\n2,3.0,BOS\n3,20,ATL\n');

    expect(scores).toHaveLength(3);
    expect(scores[0]).toBe(scores[1]);
    expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
    expect(scores[0]).not.toBe(scores[2]);
  });

  it('takes an empty field and a category never seen as missing', () => {
    const { scores = [] } = ask(keyed, 'a,3,\nb,3,XXX\nc,,\nd,3,"X,Y"\n');

    expect(scores[1]).toBe(scores[0]);
    expect(scores[3]).toBe(scores[0]);
    expect(Number.isFinite(scores[2])).toBe(true);
  });

  it.each([
    ['too few fields', '1,3\n', /row 1: a row must have 3 fields \(flight, hour, city\), got 2/],
    ['too many fields in a later row', '1,3,BOS\n2,3,BOS,9\n', /row 2: .*got 4/],
    ['no number', '1,3,BOS\n2,noon,BOS\n', /row 2: hour must be a number or empty, got 'noon'/],
    ['a number that is not finite', '1,3,BOS\n2,inf,BOS\n', /row 2: hour must be a finite number or empty, got inf/],
    ['nothing', '', /the request must have at least one row/],
  ])('refuses %s', (_, body, message) => {
    const answer = ask(keyed, body);

    expect(answer.status).toBe(400);
    expect(answer.message).toMatch(message);
  });

  it('refuses other content types', () => {
    expect(ask(keyed, '{}', 'application/json')).toMatchObject({
      status: 415,
      message: expect.stringMatching(/must be text\/csv/),
    });
  });

  it('scores 120,000 rows of one request in seconds', () => {
    const rows = Array.from({ length: 120_000 }, (_, index) => `${index},${index % 24},BOS`).join('\n');
    const started = performance.now();

    expect(ask(keyed, rows).scores).toHaveLength(120_000);
    expect(performance.now() - started).toBeLessThan(10_000); // with the start of Python, on a busy machine
  });
});

/** Waits until a child prints something. */
function printed(child: ChildProcess, pattern: RegExp): Promise<void> {
  let text = '';
  return new Promise((done, failed) => {
    child.stdout?.on('data', (chunk) => {
      text += chunk;
      if (pattern.test(text)) done();
    });
    child.on('exit', () => failed(new Error(`ended before it printed ${pattern}: ${text}`)));
  });
}
