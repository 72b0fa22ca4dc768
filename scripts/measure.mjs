#!/usr/bin/env node
// How large the parts are: lines per folder, the longest files and the longest constructors. `node scripts/measure.mjs`
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import ts from 'typescript';

const FOLDERS = [
  'lib/core',
  'lib',
  'lambdas',
  'training',
  'engine/src',
  'engine/test',
  'bin',
  'examples',
  'bench',
  'scripts',
  'test',
];
const files = execFileSync('git', ['ls-files'], { encoding: 'utf8' })
  .split('\n')
  .filter((file) => /\.(ts|mts|mjs|py)$/.test(file))
  .map((file) => ({ file, text: readFileSync(file, 'utf8') }))
  .map((one) => ({ ...one, lines: one.text.split('\n').length - 1 }));
const isTest = ({ file }) => /(^|\/)test\//.test(file);
const most = (rows) => rows.sort((one, other) => other.lines - one.lines).slice(0, 10);

const perFolder = FOLDERS.map((folder) => {
  const inner = FOLDERS.filter((other) => other.startsWith(`${folder}/`));
  const own = files.filter(
    ({ file }) => file.startsWith(`${folder}/`) && !inner.some((other) => file.startsWith(`${other}/`)),
  );
  return { file: `${folder} (${own.length} files)`, lines: own.reduce((sum, { lines }) => sum + lines, 0) };
});
table('Lines per folder', perFolder);
table('Longest files', most(files.filter((one) => !isTest(one))));
table(
  'Longest constructors',
  most(files.filter((one) => !isTest(one) && one.file.endsWith('.ts')).flatMap(constructorsOf)),
);

function constructorsOf({ file, text }) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  return source.statements.filter(ts.isClassDeclaration).flatMap(({ name, members }) =>
    members.filter(ts.isConstructorDeclaration).map((member) => ({
      file: `${name?.text} in ${file}`,
      lines: member.getText().split('\n').length,
    })),
  );
}

function table(title, rows) {
  console.log(`\n## ${title}\n\n| lines | |\n|---:|---|`);
  for (const { file, lines } of rows) console.log(`| ${lines.toLocaleString('en-US')} | ${file} |`);
}
