import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { bundle } from '../../bin/bundle.mjs';
import { corePage } from './core-results.mjs';
import { five } from './five-run.mjs';
import { known, page } from './results.mjs';
import { enumerate, tryAll } from './templates.mjs';

const USAGE = `npm run mutate [-- five|templates|core] [--loops] [--only <words>]… [--every <n>] [--with <test file>]…
  five       the five breaks that named tests must notice
  templates  the synthesized templates, broken one by one
  core       lib/core, by Stryker
  --loops    ask the whole loops too about what no quicker test has noticed
  --only     mutants whose id has these words
  --every    each n-th mutant, to see how it goes
  --with     ask these test files alone`;

const { what, loops, only, every, files } = options(process.argv.slice(2));
const say = (text) => process.stdout.write(`${text}\n`);
const wants = (name) => what === undefined || what === name;

await bundle();
if (wants('five')) await five(say);
if (wants('templates')) {
  const mutants = await enumerate();
  const isChosen = ({ id }, i) => i % every === 0 && (only.length === 0 || only.some((words) => id.includes(words)));
  await tryAll(mutants, { loops, isChosen, files, say });
  const exceptions = JSON.parse(readFileSync('test/mutation/exceptions.json', 'utf8'));
  writeFileSync('test/mutation/RESULTS.md', page(mutants, known(), exceptions, corePage()));
}
if (wants('core')) {
  execFileSync('npx', ['stryker', 'run', 'test/mutation/stryker.config.json'], { stdio: 'inherit' });
}

function options(args) {
  const chosen = { what: undefined, loops: false, only: [], every: 1, files: [] };
  for (let i = 0; i < args.length; i++) {
    if (['five', 'templates', 'core'].includes(args[i])) chosen.what = args[i];
    else if (args[i] === '--loops') chosen.loops = true;
    else if (args[i] === '--only' && args[i + 1] !== undefined) chosen.only.push(args[++i]);
    else if (args[i] === '--with' && args[i + 1] !== undefined) chosen.files.push(args[++i]);
    else if (args[i] === '--every' && Number(args[i + 1]) > 0) chosen.every = Number(args[++i]);
    else {
      process.stderr.write(`${args[i]} is none of the options\n${USAGE}\n`);
      process.exit(2);
    }
  }
  return chosen;
}
