import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { random } from '../../lib/core/random';
import { synthesize } from './app';
import { Life, type Signal } from './life';

/** How often the engine is ended: a few times with the suite, `npm run kills` does it 200 times. */
const KILLS = Number(process.env.KILLS ?? 2);
const SEED = Number(process.env.KILL_SEED ?? 1);
/** How often in one folder. */
const A_LIFE = 20;
const SIGNALS: readonly Signal[] = ['SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGINT'];
/** About so many lines does the engine say from an upload to the model in service. */
const LINES = 320;
/** Real milliseconds that a start takes. */
const START = 1_500;

const lives = Array.from({ length: Math.ceil(KILLS / A_LIFE) }, (_, index) => ({
  seed: SEED * 1000 + index,
  kills: Math.min(A_LIFE, KILLS - index * A_LIFE),
}));

let assembly: string;
const ended: string[] = [];
beforeAll(() => {
  assembly = synthesize();
});

test.each(lives)(
  'whenever the engine is ended, the next start goes on or fails the run cleanly, and nothing is lost (seed $seed)',
  async ({ seed, kills: many }) => {
    const life = new Life(assembly);
    const draw = random(seed);
    const signal = () => SIGNALS[Math.floor(draw() * SIGNALS.length)] as Signal;
    try {
      life.launch();
      for (let number = 0; number < many && life.wrong.length === 0; number++) {
        if (number > 0 && draw() < 0.1) await sleep(draw() * START);
        else await live(life, number === 0, draw);
        await life.kill(signal());
        life.launch();
      }
      await life.goOn();
      await life.upload();
      await life.restAtLast();
      ended.push(...(await life.executions()));
    } finally {
      for (const kill of life.kills) console.log(JSON.stringify(kill));
      await life.stop();
    }
    expect(life.wrong).toEqual([]);
  },
  KILLS * 60_000 + 300_000,
);

afterAll(() => {
  console.log(JSON.stringify({ ended: counted(ended) }));
});

/** A part of the loop, until a random moment of it. */
async function live(life: Life, isFirst: boolean, draw: () => number): Promise<void> {
  await life.goOn();
  const uploaded = isFirst || draw() < 0.5 ? life.upload() : undefined;
  await life.says(Math.floor(draw() ** 2 * LINES)); // squared, so that some follow each other closely
  if (draw() < 0.15) await life.rest();
  life.unanswered = uploaded;
}

function counted(all: readonly string[]): Record<string, number> {
  return Object.fromEntries([...new Set(all)].sort().map((one) => [one, all.filter((other) => other === one).length]));
}
