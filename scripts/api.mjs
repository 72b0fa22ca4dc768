#!/usr/bin/env node
// The public API of the library, from its sources:
//   node scripts/api.mjs           writes docs/API.md and docs/api.json
//   node scripts/api.mjs --check   says whether they are current
//   node scripts/api.mjs --diff [a revision, e.g. v0.1.0]   says what has changed since, and fails where that breaks users
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import ts from 'typescript';
import { compare } from './api-diff.mjs';

const [PAGE, REPORT] = ['docs/API.md', 'docs/api.json'];
const INTRODUCTION = `# API

What \`cdk-perennial\` exports. Written by \`npm run api\` from the sources; what a change breaks, \`npm run api:diff\` says.
`;

const types = publicTypes('lib/index.ts');
const report = `${JSON.stringify(Object.fromEntries(types.map((type) => [type.name, signaturesOf(type)])), null, 2)}\n`;
const page = INTRODUCTION + types.map(pageOf).join('');
const asked = process.argv.indexOf('--diff');
if (asked >= 0) diff(process.argv[asked + 1]);
else if (process.argv.includes('--check')) {
  const stale = [PAGE, REPORT].filter((file) => !existsSync(file) || textOf(file) !== (file === PAGE ? page : report));
  if (stale.length > 0) fail(`${stale.join(' and ')} must be as the sources say: run npm run api`);
} else {
  writeFileSync(PAGE, page);
  writeFileSync(REPORT, report);
}

function diff(revision = 'HEAD') {
  const before = JSON.parse(execFileSync('git', ['show', `${revision}:${REPORT}`], { encoding: 'utf8' }));
  const { breaking, added } = compare(before, JSON.parse(report));
  for (const line of added) console.log(`new       ${line}`);
  for (const line of breaking) console.log(`BREAKING  ${line}`);
  if (breaking.length === 0) console.log(`nothing breaks users of ${revision}`);
  else process.exitCode = 1;
}

/** Every class, interface and enum that the library exports, with its public members, by name. */
function publicTypes(entry) {
  const options = { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, types: [], noLib: true };
  const host = ts.createCompilerHost(options);
  // types of others are shown as they are written: to read them takes a minute
  host.resolveModuleNameLiterals = (literals, file) =>
    literals.map(({ text }) =>
      text.startsWith('.')
        ? ts.resolveModuleName(text, file, { ...options, moduleResolution: ts.ModuleResolutionKind.Bundler }, host)
        : { resolvedModule: undefined },
    );
  const program = ts.createProgram([entry], options, host);
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)));
  return exported
    .map((symbol) => ({ symbol, node: symbol.declarations?.[0] }))
    .filter(
      ({ node }) =>
        node && [ts.isClassDeclaration, ts.isInterfaceDeclaration, ts.isEnumDeclaration].some((is) => is(node)),
    )
    .map(({ symbol, node }) => ({
      name: symbol.name,
      kind: ts.isEnumDeclaration(node) ? 'enum' : ts.isInterfaceDeclaration(node) ? 'interface' : 'class',
      isAbstract: hasModifier(node, ts.SyntaxKind.AbstractKeyword),
      heritage: (node.heritageClauses ?? []).map((clause) => flat(clause.getText())),
      ...docOf(symbol, checker),
      members: node.members.filter(isPublic).map((member) => memberOf(member, checker)),
    }))
    .sort((one, other) => (one.name < other.name ? -1 : 1));
}

function isPublic(member) {
  const hidden = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword].some((kind) =>
    hasModifier(member, kind),
  );
  return !hidden && !/^[_#]/.test(member.name?.getText() ?? '');
}

/** A member with its signature as a caller sees it: types are written out where the source leaves them to the compiler. */
function memberOf(member, checker) {
  const isConstructor = ts.isConstructorDeclaration(member);
  const name = isConstructor ? 'constructor' : member.name.getText();
  const symbol = isConstructor ? member.symbol : checker.getSymbolAtLocation(member.name);
  const words = [
    [ts.SyntaxKind.StaticKeyword, 'static '],
    [ts.SyntaxKind.AbstractKeyword, 'abstract '],
    [ts.SyntaxKind.ReadonlyKeyword, 'readonly '],
  ].map(([kind, word]) => (hasModifier(member, kind) ? word : ''));
  const isCallable = isConstructor || ts.isMethodDeclaration(member) || ts.isMethodSignature(member);
  const optional = member.questionToken ? '?' : '';
  const typeOf = (node) =>
    checker.typeToString(checker.getTypeAtLocation(node), undefined, ts.TypeFormatFlags.NoTruncation);
  const rest = ts.isEnumMember(member)
    ? ` = ${flat(member.initializer?.getText() ?? '')}`
    : isCallable
      ? `(${member.parameters.map(parameterOf).join(', ')})${isConstructor ? '' : `: ${resultOf(member, checker)}`}`
      : `: ${flat(member.type?.getText() ?? typeOf(member))}`;
  return { name, signature: `${words.join('')}${name}${optional}${rest}`, ...docOf(symbol, checker) };
}

function parameterOf({ name, type, initializer, questionToken, dotDotDotToken }) {
  const mark = initializer || questionToken ? '?' : '';
  return `${dotDotDotToken ? '...' : ''}${name.getText()}${mark}: ${flat(type?.getText() ?? 'unknown')}`;
}

function resultOf(member, checker) {
  if (member.type) return flat(member.type.getText());
  return checker.typeToString(checker.getSignatureFromDeclaration(member).getReturnType());
}

function docOf(symbol, checker) {
  const tags = symbol
    .getJsDocTags(checker)
    .map(({ name, text }) => ({ name, text: plain(ts.displayPartsToString(text)) }));
  return {
    doc: plain(ts.displayPartsToString(symbol.getDocumentationComment(checker))),
    tags: tags.filter(({ name }) => ['default', 'param', 'returns', 'throws', 'see'].includes(name)),
  };
}

/** Links become what they link to. */
function plain(text) {
  return text.replace(/\{@link (\S+?)\s*\}/g, '`$1`');
}

function hasModifier(node, kind) {
  return node.modifiers?.some((modifier) => modifier.kind === kind) ?? false;
}

function flat(text) {
  return text.replace(/\s*\n\s*/g, ' ');
}

function signaturesOf({ kind, isAbstract, heritage, members }) {
  const is = [isAbstract ? `abstract ${kind}` : kind, ...heritage].join(' ');
  return { is, members: Object.fromEntries(members.map(({ name, signature }) => [name, signature])) };
}

function pageOf({ name, kind, isAbstract, heritage, doc, tags, members }) {
  const is = [isAbstract ? `abstract ${kind}` : kind, ...heritage].join(' ');
  const shown = members.map((member) => `- \`${member.signature}\`\n${indented(textOfDoc(member))}`);
  return `\n## ${name}\n\n*${is}*\n\n${textOfDoc({ doc, tags })}\n${shown.length > 0 ? `\n${shown.join('')}` : ''}`;
}

function textOfDoc({ doc, tags }) {
  const told = tags.map(({ name, text }) => `*${name}*: ${flat(text)}`);
  return [doc, ...told].filter((text) => text !== '').join('\n\n');
}

function indented(text) {
  return text === '' ? '' : `${text.replace(/^(?=.)/gm, '  ')}\n`;
}

function textOf(file) {
  return readFileSync(file, 'utf8');
}

function fail(message) {
  console.error(message);
  process.exitCode = 1;
}
