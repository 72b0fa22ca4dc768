// Asks an independent simulator of IAM the same questions as the engine: `node test/oracle/iam/compare.mjs [cases] [seed]`.
// The simulator's licence (AGPL-3.0) keeps it out of this project: it is installed in a temporary folder, each time.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const VERSION = '0.1.173';
const [count = 20_000, seed = 1] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'iam-oracle-'));
try {
  writeFileSync(join(folder, 'package.json'), '{ "private": true }');
  execFileSync('npm', ['install', '--silent', `@cloud-copilot/iam-simulate@${VERSION}`], { cwd: folder });
  const simulate = await import(
    pathToFileURL(join(folder, 'node_modules/@cloud-copilot/iam-simulate/dist/esm/index.js')).href
  );
  const outfile = join(folder, 'ours.mjs');
  await build({ entryPoints: ['test/oracle/iam/ours.ts'], outfile, bundle: true, platform: 'node', format: 'esm' });
  const ours = await import(pathToFileURL(outfile).href);

  for (const disputed of [false, true]) {
    const differ = [];
    const answers = [];
    const kinds = {};
    for (const one of ours.cases(seed, disputed ? count / 5 : count, { disputed })) {
      const theirs = await ask(simulate, ours, one);
      answers.push(theirs ? 'A' : '-');
      for (const kind of kindsOf(one)) {
        kinds[kind] ??= { cases: 0, allowed: 0 };
        kinds[kind].cases += 1;
        kinds[kind].allowed += theirs ? 1 : 0;
      }
      if (theirs !== ours.isAllowed(one)) differ.push({ theirs, ...one });
    }
    const what = disputed ? 'with what the documentation decides otherwise' : 'cases';
    const allowed = answers.filter((answer) => answer === 'A').length;
    console.log(`${answers.length} ${what}, seed ${seed}: ${allowed} allowed, ${differ.length} decided otherwise`);
    if (!disputed) console.table(Object.fromEntries(Object.entries(kinds).sort()));
    for (const one of differ.slice(0, disputed ? 0 : 20)) console.log(JSON.stringify(one));
    if (process.env.RECORD && !disputed) writeFileSync(process.env.RECORD, `${answers.join('')}\n`);
    if (process.env.DIFFERENCES && disputed) writeFileSync(process.env.DIFFERENCES, JSON.stringify(differ, null, 1));
    if (!disputed && differ.length > 0) process.exitCode = 1;
  }
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** What a case has, for the figures. */
function kindsOf({ asker, boundary, session, resourcePolicy, ...rest }) {
  const text = JSON.stringify({ boundary, session, resourcePolicy, ...rest });
  const has = (kind, pattern) => (pattern.test(text) ? [kind] : []);
  return [
    `asked by a ${asker}`,
    ...(boundary ? ['permissions boundary'] : []),
    ...(session ? ['session policy'] : []),
    ...(resourcePolicy ? ['resource policy'] : []),
    ...has('condition', /"Condition"/),
    ...has('IfExists', /ifexists"/i),
    ...has('ForAllValues, ForAnyValue', /"for(all|any)value/i),
    ...has('Null', /"Null"/),
    ...has('BinaryEquals', /"binaryequals/i),
    ...has('IpAddress, NotIpAddress', /"(not)?ipaddress/i),
    ...has('NotAction', /"NotAction"/),
    ...has('NotResource', /"NotResource"/),
    ...has('NotPrincipal', /"NotPrincipal"/),
    ...has('policy variable', /\$\{/),
  ];
}

async function ask({ runSimulation }, { ACCOUNT, SERVICE, SESSION, USER }, one) {
  const named = (document) => ({ name: 'policy', policy: document });
  const answer = await runSimulation(
    {
      request: {
        principal: { session: SESSION, user: USER, service: SERVICE }[one.asker],
        action: one.action,
        resource: { resource: one.resource, accountId: ACCOUNT },
        contextVariables: one.context,
      },
      identityPolicies: one.identity.map(named),
      ...(one.boundary && { permissionBoundaryPolicies: [named(one.boundary)] }),
      ...(one.session && { sessionPolicy: one.session }),
      ...(one.resourcePolicy && { resourcePolicy: one.resourcePolicy }),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    {},
  );
  if (answer.resultType !== 'single') throw new Error(`not answered: ${JSON.stringify({ answer, one })}`);
  return answer.overallResult === 'Allowed';
}
