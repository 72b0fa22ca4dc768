import { readdirSync, readFileSync } from 'node:fs';
import ts from 'typescript';
import { expect, test } from 'vitest';

const read = (folder: string) =>
  (readdirSync(folder, { recursive: true }) as string[])
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(`${folder}/${file}`, 'utf8'));

/** The files whose names users can import. */
const exported = [...readFileSync('lib/index.ts', 'utf8').matchAll(/from '\.\/(.*)'/g)].map(([, file]) =>
  readFileSync(`lib/${file}.ts`, 'utf8'),
);

/** Every struct that is exported to users: props, options, policies, and what extensions are given. */
const structs = exported.flatMap((source) => [...source.matchAll(/export interface (?!I[A-Z])(\w+)[^{]*{(.*?)\n}/gs)]);
const STRUCT = new RegExp(`\\b(?:\\w+Props|${structs.map(([, name]) => name).join('|')})\\b`, 'g');

/** Structs that pass between this package and what extends it: every member is held by the types there. */
const GIVEN = [
  ...['CapacityOptionRequest', 'MonitorTarget', 'SearchRequest', 'TrainerConfig', 'TrainerSource', 'TriggerTarget'],
  ...['ServedEndpoint', 'ServingTargetConfig', 'ServingTargetOptions'],
];

/** Every property of every struct, with the comment above it. */
const props = structs.flatMap(([, owner, body]) =>
  [...(body as string).matchAll(/\/\*\*(.*?)\*\/\s+readonly (\w+)(\??):/gs)].map(([, comment, name, optional]) => ({
    owner: owner as string,
    name: `${owner}.${name}`,
    comment: comment as string,
    optional: optional === '?',
  })),
);

/** What tests write where a construct, or a helper that takes its props, expects them: `OwnerProps.name`. */
function setProps(sources: readonly string[], library: readonly string[] = []): Set<string> {
  const nodesOf = (text: string) => allOf(ts.createSourceFile('test.ts', text, ts.ScriptTarget.Latest, true));
  const nodes = sources.flatMap(nodesOf);
  const known = [...library.flatMap(nodesOf), ...nodes];
  // types of the tests' own that extend props: `LoopOptions extends Partial<ContinuousTrainingProps>`
  const heirs = known.filter(ts.isInterfaceDeclaration).map(({ name, heritageClauses = [] }) => ({
    name: name.text,
    of: propsIn(heritageClauses.map((clause) => clause.getText()).join()),
  }));
  const namedBy = (type: ts.TypeNode | undefined): string[] => {
    const text = type?.getText() ?? '';
    return [
      ...propsIn(text),
      ...heirs.filter(({ name }) => new RegExp(`\\b${name}\\b`).test(text)).flatMap(({ of }) => of),
    ];
  };
  /** By the name of a helper: whose props it takes. */
  const helpers = new Map<string, string[]>();
  for (const node of known.filter(isFunction)) {
    const taken = node.parameters.flatMap(({ type }) => namedBy(type));
    const name = nameOf(node);
    if (name !== undefined && taken.length > 0) helpers.set(name, taken);
  }
  /** Whose props an expression takes that makes or calls something. */
  const takenBy = (node: ts.Node): string[] => {
    if (ts.isNewExpression(node)) return [`${node.expression.getText()}Props`];
    if (!ts.isCallExpression(node)) return [];
    return helpers.get(node.expression.getText().split('.').at(-1) as string) ?? [];
  };

  /** By `Owner.member`: the structs that it is, `TrainingPipelineProps.budget` a `Budget`. */
  const members = new Map<string, string[]>(
    known
      .filter(ts.isInterfaceDeclaration)
      .flatMap((owner) =>
        owner.members
          .filter(ts.isPropertySignature)
          .map((member) => [`${owner.name.text}.${member.name.getText()}`, namedBy(member.type)] as const),
      ),
  );
  const found = new Set<string>();
  const add = (owners: readonly string[], literals: readonly ts.ObjectLiteralExpression[]) => {
    for (const property of literals.flatMap(({ properties }) => [...properties])) {
      if (!property.name) continue;
      for (const owner of owners) {
        const name = `${owner}.${property.name.getText()}`;
        found.add(name);
        const inner = members.get(name) ?? [];
        if (inner.length > 0) add(inner, valuesOf(property, nodes));
      }
    }
  };
  for (const node of nodes) {
    if (ts.isNewExpression(node)) add(takenBy(node), (node.arguments ?? []).flatMap(literalsIn));
    else if (ts.isCallExpression(node)) {
      add(takenBy(node), node.arguments.flatMap(literalsIn));
      // a table: test.each([[{ holdoutShare: 2 }, 'refusal']])('…', (props) => new TrainingPipeline(…))
      const [, body] = node.arguments;
      if (body && ts.isCallExpression(node.expression) && /\beach$/.test(node.expression.expression.getText())) {
        const owners = allOf(body).flatMap(takenBy);
        add(owners, node.expression.arguments.flatMap(allOf).filter(ts.isObjectLiteralExpression));
      }
    } else if (ts.isVariableDeclaration(node) && node.initializer)
      add(namedBy(node.type), literalsIn(node.initializer));
  }
  return found;
}

function propsIn(text: string): string[] {
  return [...text.matchAll(STRUCT)].map(([name]) => name);
}

function allOf(node: ts.Node): ts.Node[] {
  const below: ts.Node[] = [];
  node.forEachChild((child) => void below.push(...allOf(child)));
  return [node, ...below];
}

/** The object that an argument is, or that it is put together of. */
function literalsIn(node: ts.Node): ts.ObjectLiteralExpression[] {
  if (!ts.isObjectLiteralExpression(node)) return [];
  const spread = node.properties.filter(ts.isSpreadAssignment).map(({ expression }) => expression);
  return [node, ...spread.flatMap(allOf).filter(ts.isObjectLiteralExpression)];
}

/** The object, or the objects of the list, that a property is set to, by a variable too. */
function valuesOf(property: ts.ObjectLiteralElementLike, nodes: readonly ts.Node[]): ts.ObjectLiteralExpression[] {
  const value = ts.isPropertyAssignment(property) ? property.initializer : property.name;
  if (value === undefined) return [];
  if (ts.isArrayLiteralExpression(value)) return value.elements.filter(ts.isObjectLiteralExpression);
  if (ts.isObjectLiteralExpression(value)) return literalsIn(value);
  const file = value.getSourceFile();
  return nodes
    .filter(ts.isVariableDeclaration)
    .filter((node) => node.getSourceFile() === file && node.name.getText() === value.getText())
    .flatMap(({ initializer }) => (initializer ? literalsIn(initializer) : []));
}

function isFunction(node: ts.Node): node is ts.FunctionDeclaration | ts.ArrowFunction | ts.MethodDeclaration {
  return ts.isFunctionDeclaration(node) || ts.isArrowFunction(node) || ts.isMethodDeclaration(node);
}

function nameOf(node: ts.FunctionDeclaration | ts.ArrowFunction | ts.MethodDeclaration): string | undefined {
  if (!ts.isArrowFunction(node)) return node.name?.getText();
  return ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : undefined;
}

test('props are found, and those of every other struct', () => {
  expect(props.length).toBeGreaterThan(40);
  const owners = new Set(props.map(({ owner }) => owner));
  for (const name of ['SpotOptions', 'OnDemandOptions', 'Budget', 'RetryPolicy', 'InstanceGroup', 'TrainerConfig']) {
    expect(owners).toContain(name);
  }
});

test('every optional prop states its default, and no other does', () => {
  expect(
    props.filter(({ comment, optional }) => comment.includes('@default') !== optional).map(({ name }) => name),
  ).toEqual([]);
});

test('what tests set is told from words that are like it', () => {
  const set = setProps([
    'interface Options extends Partial<OneProps> {} const made = (options: Options) => new One(options);',
    "made({ a: 1 }); new Two(scope, 'id', { b, ...(c && { d: 2 }) }); other({ e: 3 }); const f: Partial<TwoProps> = { g: 4 };",
    "test.each([[{ h: 5 }]])('x', (props) => { made(props); });",
  ]);
  expect([...set].sort()).toEqual(['OneProps.a', 'OneProps.h', 'TwoProps.b', 'TwoProps.d', 'TwoProps.g'].sort());
});

test('every prop is set by a test, on its own construct', () => {
  const set = setProps(read('test'), exported);
  // what the whole loop hands on to its parts is set by who sets it there
  const handedOn = setProps([readFileSync('lib/continuous-training.ts', 'utf8')], exported);
  for (const name of handedOn) set.add(name);
  const written = props.filter(({ owner }) => !GIVEN.includes(owner));
  expect(written.filter(({ name }) => !set.has(name)).map(({ name }) => name)).toEqual([]);
});
