import { existsSync, readFileSync } from 'node:fs';

const FILE = '.perennial/mutation/core.json';

/** The part of the page about lib/core: the score of each file, and the survivors. */
export function corePage() {
  if (!existsSync(FILE)) return ['## lib/core', '', 'Not tried yet: `npm run mutate:core`.', ''];
  const files = Object.entries(JSON.parse(readFileSync(FILE, 'utf8')).files).map(([file, { mutants }]) => {
    const of = (...statuses) => mutants.filter(({ status }) => statuses.includes(status));
    const noticed = of('Killed', 'Timeout').length;
    const survivors = of('Survived', 'NoCoverage');
    return { file, noticed, survivors, total: noticed + survivors.length };
  });
  const sum = (of) => files.reduce((total, file) => total + of(file), 0);
  const row = (name, noticed, total) =>
    `| ${name} | ${total} | ${noticed} | ${total === 0 ? '' : `${((100 * noticed) / total).toFixed(1)} %`} |`;
  return [
    '## lib/core',
    '',
    '| file | mutants | noticed | score |',
    '|---|---:|---:|---:|',
    ...files.map(({ file, noticed, total }) => row(file, noticed, total)),
    row(
      '**all**',
      sum(({ noticed }) => noticed),
      sum(({ total }) => total),
    ),
    '',
    '### Survivors',
    '',
    ...files.flatMap(({ file, survivors }) =>
      survivors.map(
        ({ mutatorName, replacement = '', location: { start } }) =>
          `- ${file}:${start.line}:${start.column} ${mutatorName}: \`${replacement.replaceAll(/\s+/g, ' ').replaceAll('`', "'").slice(0, 100)}\``,
      ),
    ),
    '',
  ];
}
