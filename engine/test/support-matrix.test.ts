import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { apiModel } from '../src/api/models';
import { Engine } from '../src/engine/engine';
import type { Service } from '../src/service';
import { assemblyOf } from './support/assembly';

const FOLDER = 'engine';
const readme = readFileSync(join(FOLDER, 'README.md'), 'utf8');

/** The text below a heading, up to the next one. */
function section(heading: string): string {
  return readme.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
}

function quoted(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, word]) => word as string);
}

describe('the support matrix', () => {
  let engine: Engine;
  let operations: Record<string, string[]>;
  beforeAll(async () => {
    engine = await Engine.start({ assembly: assemblyOf({ Nothing: { Type: 'AWS::CDK::Metadata' } }) });
    const services: Service[] = Object.values(engine.services);
    operations = Object.fromEntries(
      services.map((service) => [service.name, namesOf(service)] as const).filter(([, names]) => names.length > 0),
    );
  });
  afterAll(() => engine.stop());

  test('names the operations that the engine has, and no others', () => {
    const rows = section('Operations').matchAll(/^\| `([\w-]+)` \| (.+) \|$/gm);
    const told = Object.fromEntries([...rows].map(([, name, list]) => [name, quoted(list as string)]));
    expect(told).toEqual(operations);
  });

  test('holds no operation without a model of its input', () => {
    const without = Object.entries(operations).flatMap(([service, names]) =>
      names.filter((name) => apiModel(service)?.operations[name] === undefined).map((name) => `${service}:${name}`),
    );
    expect(without).toEqual([]);
  });

  test('has a row for every service’s folder, and each service lies in the folder of its name', () => {
    const rows = [...section('The parts').matchAll(/\(src\/services\/([\w-]+)\) \|/g)].map(([, name]) => name);
    expect(rows).toEqual(readdirSync(join(FOLDER, 'src/services')).sort());
    expect(rows).toEqual([...Object.keys(engine.services), 'iam', 'kms'].sort());
    expect(rows.filter((name) => !existsSync(join(FOLDER, `src/services/${name}/service.ts`)))).toEqual([]);
  });

  test('names as missing only what is', () => {
    const missing = [...readme.matchAll(/^- \[ \] .+$/gm)].flatMap(([line]) => quoted(line));
    const named = missing.map((word) => /^([a-z0-9-]+):([A-Z]\w+)$/.exec(word)).filter((one) => one !== null);
    expect(named.length).toBeGreaterThan(20);
    const lies = named.filter(([, service, operation]) => operations[service as string]?.includes(operation as string));
    expect(lies.map(([word]) => word)).toEqual([]);
  });

  test('names the resource types that the engine reads, and no others', () => {
    expect(quoted(section('Resource types')).filter((word) => word.includes('::'))).toEqual(
      [...engine.resourceTypes].sort(),
    );
  });

  test('points to files that are there', () => {
    const files = [...readme.matchAll(/\]\(([^)]+)\)/g)].map(([, file]) => file as string);
    expect(files.length).toBeGreaterThan(20);
    expect(files.filter((file) => !existsSync(join(FOLDER, file)))).toEqual([]);
  });
});

function namesOf({ operations, handles = [] }: Service): string[] {
  return [...new Set([...Object.keys(operations), ...handles])].sort();
}
