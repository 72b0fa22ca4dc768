#!/usr/bin/env node
// Writes what the engine knows of AWS's APIs, from botocore's models (Apache-2.0):
// `node engine/api-models.mjs <folder>`, where the folder is `botocore/data` of an unpacked botocore.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';

const TARGET = join(import.meta.dirname, 'src', 'api');

/** What botocore calls the services that the engine knows by their signing names. */
const FOLDERS = { monitoring: 'cloudwatch', states: 'stepfunctions' };

const data = process.argv[2];
if (data === undefined || !existsSync(join(data, 's3'))) {
  console.error(`usage: node engine/api-models.mjs <botocore/data>, got ${data}`);
  process.exit(1);
}

const services = readdirSync(data, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name: folder }) => ({ folder, model: read(folder) }))
  .filter(({ model }) => model !== undefined);

const actions = Object.fromEntries(
  services.map(({ model }) => [sdkName(model.metadata), Object.keys(model.operations).sort().join(' ')]),
);
writeFileSync(
  join(TARGET, 'actions.json.gz'),
  gzipSync(JSON.stringify(actions, Object.keys(actions).sort()), { level: 9 }),
);

for (const [name, operations] of offered()) {
  const folder = FOLDERS[name] ?? name;
  const models = services.filter((one) => one.folder === folder || one.folder === `${folder}-runtime`);
  const known = models.map(({ model }) => inputsOf(model, operations));
  const merged = {
    operations: Object.assign({}, ...known.map((one) => one.operations)),
    shapes: Object.assign({}, ...known.map((one) => one.shapes)),
  };
  const missing = operations.filter((operation) => !(operation in merged.operations));
  if (missing.length > 0) throw new Error(`${name}: botocore has no ${missing.join(', ')}`);
  writeFileSync(join(TARGET, `${name}.json`), lines(merged));
}

/** The operations that the engine offers, as its README lists them. */
function offered() {
  const rows = readFileSync(join(import.meta.dirname, 'README.md'), 'utf8')
    .split(/^## /m)
    .find((part) => part.startsWith('Operations\n'))
    .matchAll(/^\| `([\w-]+)` \| (.+) \|$/gm);
  return [...rows].map(([, name, list]) => [name, [...list.matchAll(/`(\w+)`/g)].map(([, one]) => one)]);
}

function read(folder) {
  for (const version of readdirSync(join(data, folder), { withFileTypes: true }).reverse()) {
    for (const [file, open] of [
      ['service-2.json.gz', gunzipSync],
      ['service-2.json', (bytes) => bytes],
    ]) {
      const path = join(data, folder, version.name, file);
      if (version.isDirectory() && existsSync(path)) return JSON.parse(open(readFileSync(path)).toString());
    }
  }
  return undefined;
}

/** A service as `aws-sdk:` integrations call it. */
function sdkName({ serviceId }) {
  return serviceId.toLowerCase().replaceAll(/[^a-z0-9]/g, '');
}

/** The inputs of some operations, and every shape in them. */
function inputsOf(model, wanted) {
  const operations = {};
  const shapes = {};
  const keep = (name) => {
    if (name in shapes) return;
    shapes[name] = undefined; // known from here on: shapes may hold themselves
    shapes[name] = compact(model.shapes[name], keep);
  };
  for (const [name, { input }] of Object.entries(model.operations)) {
    if (!wanted.includes(name)) continue;
    operations[name] = input?.shape ?? '';
    if (input !== undefined) keep(input.shape);
  }
  return { operations, shapes };
}

function compact({ type, required, members, member, key, value, min, max, pattern, enum: values, union }, keep) {
  for (const one of [...Object.values(members ?? {}), member, key, value]) if (one !== undefined) keep(one.shape);
  return {
    type,
    ...(required?.length > 0 && { required }),
    ...(members && { members: Object.fromEntries(Object.entries(members).map(([name, { shape }]) => [name, shape])) }),
    ...(union && { union }),
    ...(member && { member: member.shape }),
    ...(key && { key: key.shape, value: value.shape }),
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(usable(pattern) && { pattern }),
    ...(values && { enum: values }),
  };
}

/** Whether a pattern means something to JavaScript, and forbids something. */
function usable(pattern) {
  if (pattern === undefined || /^\^?(\.|\[\\s\\S\])\*\$?$/.test(pattern)) return false;
  try {
    new RegExp(`^(?:${pattern})$`);
    return true;
  } catch {
    return false;
  }
}

/** JSON with a line for each operation and shape, so that changes can be read. */
function lines({ operations, shapes }) {
  const list = (entries) =>
    Object.keys(entries)
      .sort()
      .map((name) => `    ${JSON.stringify(name)}: ${JSON.stringify(entries[name])}`)
      .join(',\n');
  return `{\n  "operations": {\n${list(operations)}\n  },\n  "shapes": {\n${list(shapes)}\n  }\n}\n`;
}
