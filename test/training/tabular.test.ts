import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { ensurePython, imageRequirements, packageFile } from '../../engine/src/containers/python';
import { unpack } from '../../engine/src/services/sagemaker/untar';

/** Trains: PyTorch's image. */
let python: string;
/** Serves: XGBoost's image, which has no PyTorch. */
let serving: string;
let code: string;
let data: string;

/** 4,000 rows whose outcome depends on a number and a category; some of both are missing. */
const MAKE_DATA = `
import sys, numpy as np, pyarrow as pa, pyarrow.parquet as pq
from pathlib import Path
folder = Path(sys.argv[1]); rng = np.random.default_rng(0)
def table(rows):
    hour, city = rng.integers(0, 24, rows).astype(float), rng.integers(0, 3, rows)
    price = rng.lognormal(3, 1, rows)
    late = rng.random(rows) < 0.1 + 0.02 * hour + 0.3 * (city == 1)
    names = [None if rng.random() < 0.05 else ['ATL', 'BOS', 'NYC'][c] for c in city]
    names[:2] = ['RARE', 'RARE']
    return pa.table({'hour': [None if rng.random() < 0.05 else h for h in hour], 'price': price, 'city': pa.array(names, pa.string()), 'late': late})
for name, rows in [('train', 3000), ('validation', 1000)]:
    t = table(rows)
    for kind, made in [(name, t), (f'{name}-one-class', t.set_column(3, 'late', pa.array([False] * rows))),
                       (f'{name}-empty', t.slice(0, 0)), (f'{name}-words', t.select(['city', 'late'])),
                       (f'{name}-infinite', t.set_column(1, 'price', pa.array([float('inf')] * rows))),
                       (f'{name}-number', t.set_column(3, 'late', pa.array(t['hour'].fill_null(0).to_numpy() * 200 + 1000)))]:
        (folder / kind).mkdir(); pq.write_table(made, folder / kind / 'part.parquet')
`;

beforeAll(async () => {
  python = await ensurePython(packageFile('containers/images/pytorch.txt'));
  serving = await ensurePython(imageRequirements('sagemaker-xgboost:3.2-0') as string);
  code = mkdtempSync(join(tmpdir(), 'code-'));
  await unpack('dist/training/tabular.tar.gz', code);
  data = mkdtempSync(join(tmpdir(), 'rows-'));
  const made = spawnSync(serving, ['-c', MAKE_DATA, data], { encoding: 'utf8' });
  expect(made.stderr).toBe('');
}, 600_000);

interface Job {
  readonly root: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}

const SMALL = { members: 4, width: 32, layers: 2, embedding: 8, batch_size: 128 };
/** Some hundred steps, so that there is something to interrupt. */
const LONG = { ...SMALL, epochs: 30, dropout: 0.1 };

function job(
  parameters: Record<string, string | number | undefined> = {},
  variant = '',
  root = mkdtempSync(join(tmpdir(), 'ml-')),
): Job {
  const all = { problem: 'binary', seed: 7, early_stopping_epochs: 0, epochs: 10, ...SMALL, ...parameters };
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

/** The same on two processes. */
function pair(one: Job): Job {
  return { ...one, args: ['-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2', ...one.args] };
}

function train({ args, env }: Job) {
  const { status, stdout, stderr } = spawnSync(python, args, { env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

/** Trains until the output has a pattern and some milliseconds more; gives the exit code. */
async function interrupted({ args, env }: Job, pattern: RegExp, signal: NodeJS.Signals, later: number) {
  const child = spawn(python, args as string[], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  await printed(child, pattern);
  await sleep(later);
  const code = new Promise((done) => child.on('exit', (status, by) => done(status ?? by)));
  child.kill(signal);
  return code;
}

const weightsOf = ({ root }: Job) => readFileSync(join(root, 'model', 'weights.npz'));
const aboutOf = ({ root }: Job) => JSON.parse(readFileSync(join(root, 'model', 'model.json'), 'utf8'));
const checkpointsOf = ({ root }: Job) => readdirSync(join(root, 'checkpoints')).sort();
const aucOf = (stdout: string) => Number(/^validation:auc=([0-9.]+)$/m.exec(stdout)?.[1]);

/** What the model of a job answers to some CSV, in the container that serves. */
function ask({ root }: Job, body: string, type = 'text/csv'): { scores?: number[]; status?: number; message?: string } {
  const script = `
import sys, json; sys.path.insert(0, sys.argv[1] + '/code')
import inference
assert not {'torch', 'xgboost'} & set(sys.modules)
try:
    model = inference.model_fn(sys.argv[1])
    answer = inference.output_fn(inference.predict_fn(inference.input_fn(sys.stdin.read(), sys.argv[2]), model), 'text/csv')
    print(json.dumps({'scores': [float(line) for line in answer.split()]}))
except ValueError as error:
    print(json.dumps({'status': error.status_code, 'message': error.message}))
`;
  const { stdout, stderr } = spawnSync(serving, ['-c', script, join(root, 'model'), type], {
    input: body,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  });
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

/** The greatest difference between what numpy and PyTorch say to some CSV, as a share of what they say. */
function difference({ root }: Job, body: string): number {
  const script = `
import sys; sys.path[:0] = [sys.argv[1] + '/code', sys.argv[2]]
import numpy as np, torch, inference, network
from csv_request import rows_of
from encoding import encoded
from problems import PROBLEMS
model, body = inference.model_fn(sys.argv[1]), sys.stdin.read().encode()
weights = {name: torch.from_numpy(value) for name, value in model['weights'].items()}
said = network.forward(weights, *map(torch.from_numpy, encoded(rows_of(body, model), model['features'])), torch.float32)
theirs = PROBLEMS[model['problem']].scores(said).mean(0).numpy() * model['spread'] + model['middle']
ours = inference.predict_fn(body, model)
assert len(ours) == body.count(b'\\n') and ours.dtype == np.float32 and np.ptp(ours) > 0.1
print(np.abs(ours - theirs).max() / max(1, np.abs(theirs).max()))
`;
  const { stdout, stderr } = spawnSync(python, ['-c', script, join(root, 'model'), code], {
    input: body,
    encoding: 'utf8',
  });
  if (stdout === '') throw new Error(stderr);
  return Number(stdout);
}

/** Trained once for several tests. */
let keyed: Job & ReturnType<typeof train>;
let whole: Job & ReturnType<typeof train>;
beforeAll(() => {
  const [one, two] = [job({ key: 'flight' }), job(LONG)];
  keyed = { ...one, ...train(one) };
  whole = { ...two, ...train(two) };
});

describe('training', () => {
  it('learns, prints its metrics, and writes what serving needs', () => {
    const { status, stdout } = keyed;

    expect(status).toBe(0);
    expect(aucOf(stdout)).toBeGreaterThan(0.65);
    expect(stdout).toMatch(/^epoch 1: loss=[0-9.]+ validation:logloss=[0-9.]+ validation:auc=[0-9.]+ \d+ rows\/s$/m);
    expect(stdout).toMatch(/^train:logloss=[0-9.]+$/m);
    expect(aboutOf(keyed)).toMatchObject({
      problem: 'binary',
      key: 'flight',
      target: 'late',
      features: [
        { name: 'hour', kind: 'number', knots: Array.from({ length: 24 }, (_, hour) => hour) },
        { name: 'price', kind: 'number', knots: expect.objectContaining({ length: 49 }) },
        { name: 'city', kind: 'category', categories: ['ATL', 'BOS', 'NYC'] }, // two rows are too few for RARE
      ],
    });
    expect(readdirSync(join(keyed.root, 'model', 'code')).sort()).toEqual([
      'csv_request.py',
      'encoding.py',
      'features.py',
      'inference.py',
      'problems.py',
    ]);
  });

  it('measures as it should', () => {
    const script = `
import sys; sys.path.insert(0, sys.argv[1])
import torch
from problems import Binary, Regression
scores, target = torch.tensor([0.1, 0.4, 0.4, 0.8, 0.4]), torch.tensor([0.0, 0.0, 1.0, 1.0, 0.0])
print(Binary.measured(scores, target), Regression.measured(scores, target))
`;
    const { stdout } = spawnSync(python, ['-c', script, code], { encoding: 'utf8' });
    const found = [...stdout.matchAll(/'(\w+)': ([0-9.]+)/g)].map(([, name, value]) => [name, Number(value)]);

    // pairs won: 0.4 wins one and ties twice, 0.8 wins three: 5 of 6
    const measures = Object.fromEntries(found);
    expect(measures.auc).toBeCloseTo(5 / 6, 12);
    expect(measures.logloss).toBeCloseTo(-(Math.log(0.9) + 2 * Math.log(0.6) + Math.log(0.4) + Math.log(0.8)) / 5, 6);
    expect(measures.mae).toBeCloseTo((0.1 + 0.4 + 0.6 + 0.2 + 0.4) / 5, 6);
    expect(measures.rmse).toBeCloseTo(Math.sqrt((0.01 + 0.16 + 0.36 + 0.04 + 0.16) / 5), 6);
  });

  it('gives the same model for the same seed, and another for another', () => {
    const [again, other] = [job(), job({ seed: 8 })];
    for (const each of [again, other]) train(each);

    expect(weightsOf(again).equals(weightsOf(keyed))).toBe(true);
    expect(weightsOf(other).equals(weightsOf(keyed))).toBe(false);
  });

  it('stops early where validation gets no better, and keeps the best weights', () => {
    const one = job({ epochs: 200, learning_rate: 0.01, schedule: 'constant', early_stopping_epochs: 3 });

    const { stdout } = train(one);

    const epochs = [...stdout.matchAll(/^epoch \d+: .* validation:auc=([0-9.]+) /gm)].map(([, auc]) => Number(auc));
    expect(stdout).toContain(`\nepochs=${epochs.length}\n`);
    expect(epochs.length).toBeLessThan(100);
    expect(epochs.indexOf(Math.max(...epochs))).toBe(epochs.length - 4);
    expect(aucOf(stdout)).toBe(Math.max(...epochs));
  });

  it('gives the same model after interruptions at any step as without one', async () => {
    const cut = job(LONG);
    const steps: string[] = [];
    for (const epoch of [1, 9, 18]) {
      const status = await interrupted(cut, new RegExp(`epoch ${epoch}:`), 'SIGTERM', 40 * Math.random());
      expect(status).toBe(143);
      steps.push(checkpointsOf(cut).at(-1) as string);
    }
    const { stdout } = train(cut);

    const last = Number(/step-(\d+)/.exec(steps[2])?.[1]);
    expect(stdout).toContain(`going on after step ${last}\n`);
    expect(weightsOf(cut).equals(weightsOf(whole)), `interrupted at ${steps.join(', ')}`).toBe(true);
  });

  it('gives the same model after it was killed, from its last checkpoint', async () => {
    const cut = job({ ...LONG, checkpoint_seconds: 0.1 });

    await interrupted(cut, /epoch 15:/, 'SIGKILL', 40 * Math.random());
    const kept = checkpointsOf(cut).filter((name) => name.startsWith('step-'));
    truncateSync(join(cut.root, 'checkpoints', kept[1]), 1000); // as if the disk had lost its end
    const { stdout } = train(cut);

    expect(kept).toHaveLength(2);
    expect(stdout).toContain(`checkpoint ${kept[1]} cannot be read and is left out`);
    expect(stdout).toContain(`going on after step ${Number(/step-(\d+)/.exec(kept[0])?.[1])}\n`);
    expect(weightsOf(cut).equals(weightsOf(whole))).toBe(true);
  });

  it('trains on two processes as well as on one, and goes on to the same model', async () => {
    const few = { ...LONG, epochs: 12 }; // they wait for each other at each step
    const [uncut, cut] = [pair(job(few)), pair(job(few))];
    const two = train(uncut);

    await interrupted(cut, /epoch 2:/, 'SIGTERM', 40 * Math.random());
    const { stdout } = train(cut);

    expect(two.stdout).toContain('2 x cpu');
    expect(Math.abs(aucOf(two.stdout) - aucOf(whole.stdout))).toBeLessThan(0.02);
    expect(stdout).toMatch(/going on after step \d+/);
    expect(weightsOf(cut).equals(weightsOf(uncut))).toBe(true);
  });

  it('goes on where more, or fewer, processes than before are to be had', async () => {
    const one = job({ ...LONG, epochs: 12 });
    await interrupted(one, /epoch 2:/, 'SIGTERM', 0);
    const [alone] = checkpointsOf(one).slice(-1);
    await interrupted(pair(one), /epoch 6:/, 'SIGTERM', 0);
    const { stdout } = train(one);

    expect(Number(/step-(\d+)/.exec(alone)?.[1])).toBeLessThan(Number(/going on after step (\d+)/.exec(stdout)?.[1]));
    expect(stdout).toContain('on other machines: the bits will not be the same');
    expect(stdout).not.toContain('left out');
    expect(stdout).not.toContain('epoch 3:');
    expect(Math.abs(aucOf(stdout) - aucOf(whole.stdout))).toBeLessThan(0.02);
  });

  it.each([
    ['parameters', { ...LONG, epochs: 1 }, ''],
    ['data', LONG, '-words'],
  ])('starts anew where the checkpoints are of other %s', async (_, parameters, variant) => {
    const one = job(LONG);
    await interrupted(one, /epoch 1:/, 'SIGTERM', 0);
    const [file] = checkpointsOf(one);

    const { stdout } = train(job(parameters, variant, one.root));

    expect(stdout).toContain(`checkpoint ${file} is of other data or parameters and is left out`);
    expect(stdout).toContain('\nepoch 1:');
  });

  it('makes what it refuses the reason of failure', () => {
    const one = job({}, '-infinite');

    expect(train(one).status).toBe(1);
    expect(readFileSync(join(one.root, 'output', 'failure'), 'utf8')).toBe(
      'column price of channel train must be finite or missing',
    );
  });

  it('says which hyperparameter is wrong, what it got and what is allowed', () => {
    const wrong = {
      'problem ranking': "hyperparameter problem must be one of binary, regression, got 'ranking'",
      'epochs 0': 'hyperparameter epochs must be a whole number from 1 to 100000, got 0',
      'members 1.5': 'hyperparameter members must be a whole number from 1 to 256, got 1.5',
      'learning_rate fast': "hyperparameter learning_rate must be a number from 1e-07 to 1, got 'fast'",
      'dropout 1': 'hyperparameter dropout must be a number from 0 to 0.9, got 1',
      'schedule step': "hyperparameter schedule must be one of cosine, constant, got 'step'",
      'width true': 'hyperparameter width must be a whole number from 1 to 8192, got True',
      'max_depth 8': 'hyperparameters max_depth are not known; train.py says which are',
    };
    const script = `
import sys; sys.path.insert(0, sys.argv[1])
import train
for words in sys.argv[2:]:
    name, value = words.split()
    try: train.main([f'--{name}', value])
    except train.Refused as error: print(error)
`;
    const { stdout } = spawnSync(python, ['-c', script, code, ...Object.keys(wrong)], { encoding: 'utf8' });

    expect(stdout.trim().split('\n')).toEqual(Object.values(wrong));
  });

  it('learns numbers, and as bfloat16', () => {
    const one = job({ problem: 'regression', precision: 'bfloat16', epochs: 10 }, '-number');

    expect(train(one).stdout).toMatch(/^validation:rmse=[0-9.]+$/m);
    const [low, high] = ask(one, '1,20,ATL\n20,20,ATL').scores ?? [];
    expect(low).toBeGreaterThan(1000);
    expect(high - low).toBeGreaterThan(3000);
  });
});

describe('serving', () => {
  it.each([
    ['probabilities', undefined, '', 'a,3,20.5,ATL\nb,,20,BOS\nc,23.5,,\nd,-5,1e9,XXX\n'],
    ['numbers', { problem: 'regression' }, '-number', '3,20.5,ATL\n,20,BOS\n23.5,,\n-5,1e9,XXX\n'],
    ['words alone', {}, '-words', 'ATL\nBOS\n""\nNYC\n'],
  ])('computes what PyTorch computes: %s', (_, parameters, variant, body) => {
    const one = parameters === undefined ? keyed : job(parameters, variant);
    if (one !== keyed) train(one);

    expect(difference(one, body.repeat(5000))).toBeLessThan(1e-5); // several blocks of rows, the last one smaller
  });

  it('answers one probability a row; the key decides nothing', () => {
    const { scores = [] } = ask(keyed, '1,3.0,9,BOS\n2,3.0,9,BOS\n3,20,9,ATL\n');

    expect(scores).toHaveLength(3);
    expect(scores[0]).toBe(scores[1]);
    expect(scores.every((score) => score > 0 && score < 1)).toBe(true);
    expect(scores[0]).not.toBe(scores[2]);
  });

  it('takes an empty field and a category never seen as missing', () => {
    const { scores = [] } = ask(keyed, 'a,3,9,\nb,3,9,XXX\nc,,,\nd,3,9,"X,Y"\ne,3,9,RARE\n');

    for (const index of [1, 3, 4]) expect(scores[index]).toBe(scores[0]);
    expect(Number.isFinite(scores[2])).toBe(true);
  });

  it.each([
    ['too few fields', '1,3\n', /row 1: a row must have 4 fields \(flight, hour, price, city\), got 2/],
    ['no number', '1,3,9,BOS\n2,noon,9,BOS\n', /row 2: hour must be a number or empty, got 'noon'/],
    ['a number that is not finite', '1,3,inf,BOS\n', /row 1: price must be a finite number or empty, got inf/],
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
