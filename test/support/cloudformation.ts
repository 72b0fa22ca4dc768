import { loadAwsServiceSpecSync } from '@aws-cdk/aws-service-spec';
import type { PropertyType, Resource, ResourceProperties } from '@aws-cdk/service-spec-types';

// biome-ignore lint/suspicious/noExplicitAny: a template is what it is until it was checked
type Json = any;

/** What CloudFormation takes: https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html */
const LIMITS = { bytes: 1024 * 1024, resources: 500, outputs: 200, parameters: 200, mappings: 200 };

const SECTIONS = [
  ...['AWSTemplateFormatVersion', 'Description', 'Metadata', 'Parameters', 'Mappings', 'Conditions', 'Rules'],
  ...['Transform', 'Resources', 'Outputs'],
];
const RESOURCE_KEYS = [
  ...['Type', 'Properties', 'DependsOn', 'Condition', 'Metadata', 'CreationPolicy', 'UpdatePolicy'],
  ...['DeletionPolicy', 'UpdateReplacePolicy'],
];
const DELETION_POLICIES = ['Delete', 'Retain', 'RetainExceptOnCreate', 'Snapshot'];
const PSEUDO_PARAMETERS = [
  ...['AccountId', 'NotificationARNs', 'NoValue', 'Partition', 'Region', 'StackId', 'StackName', 'URLSuffix'],
].map((name) => `AWS::${name}`);

const database = loadAwsServiceSpecSync();

/**
 * What CloudFormation would refuse of a template, as far as its own resource schemas tell: a line a mistake.
 *
 * An intrinsic function stands for any value; what it refers to must exist. Circles are left to `Template.fromStack`.
 */
export function mistakesIn(template: Json): string[] {
  return new Checker(template).run();
}

class Checker {
  private readonly mistakes: string[] = [];

  constructor(private readonly template: Json) {}

  run(): string[] {
    const { Resources = {}, Outputs = {}, Parameters = {}, Mappings = {} } = this.template;
    this.keys('template', this.template, SECTIONS);
    this.most('bytes', Buffer.byteLength(JSON.stringify(this.template)), LIMITS.bytes);
    this.most('resources', Object.keys(Resources).length, LIMITS.resources);
    this.most('outputs', Object.keys(Outputs).length, LIMITS.outputs);
    this.most('parameters', Object.keys(Parameters).length, LIMITS.parameters);
    this.most('mappings', Object.keys(Mappings).length, LIMITS.mappings);
    for (const id of [Resources, Outputs, Parameters].flatMap(Object.keys)) {
      if (!/^[A-Za-z0-9]{1,255}$/.test(id)) this.add(id, 'is no logical id: letters and digits, at most 255');
    }
    for (const [id, resource] of Object.entries<Json>(Resources)) this.resource(id, resource);
    this.outputs(Outputs);
    for (const section of ['Resources', 'Outputs', 'Conditions']) this.references(section, this.template[section]);
    return this.mistakes;
  }

  private resource(id: string, resource: Json): void {
    this.keys(id, resource, RESOURCE_KEYS);
    for (const dependency of [resource.DependsOn ?? []].flat()) {
      if (!(dependency in this.template.Resources)) this.add(`${id}.DependsOn`, `knows no resource ${dependency}`);
    }
    for (const key of ['DeletionPolicy', 'UpdateReplacePolicy']) {
      if (resource[key] !== undefined && !DELETION_POLICIES.includes(resource[key])) {
        this.add(`${id}.${key}`, `must be one of ${DELETION_POLICIES.join(', ')}, got ${resource[key]}`);
      }
    }
    const properties = resource.Properties ?? {};
    const schema = schemaOf(resource.Type);
    if (isCustom(resource.Type)) {
      if (properties.ServiceToken === undefined) this.add(id, 'lacks ServiceToken');
    } else if (schema === undefined) {
      if (resource.Type !== 'AWS::CDK::Metadata') this.add(id, `has an unknown type: ${resource.Type}`);
    } else {
      this.mistakes.push(...objectMistakes(id, properties, schema.properties));
    }
  }

  private outputs(outputs: Json): void {
    const names = new Set<string>();
    for (const [id, output] of Object.entries<Json>(outputs)) {
      const path = `Outputs.${id}`;
      this.keys(path, output, ['Value', 'Description', 'Export', 'Condition']);
      if (!isIntrinsic(output.Value) && typeof output.Value !== 'string') this.add(path, 'must have a string as Value');
      if (output.Export === undefined) continue;
      const name = JSON.stringify(output.Export.Name);
      if (name === undefined) this.add(path, 'exports no Name');
      if (names.has(name)) this.add(path, `exports ${name}, as another output does`);
      names.add(name);
    }
  }

  /** Checks what intrinsic functions refer to, at any depth. */
  private references(path: string, value: Json): void {
    if (typeof value !== 'object' || value === null) return;
    for (const [key, inner] of Object.entries<Json>(value)) this.references(`${path}.${key}`, inner);
    if (!isIntrinsic(value)) return;
    const [[name, argument]] = Object.entries<Json>(value);
    if (name === 'Ref') this.reference(path, argument);
    if (name === 'Fn::GetAtt') {
      const [id, ...attribute] = Array.isArray(argument) ? argument : argument.split('.');
      this.attribute(path, id, attribute);
    }
    if (name === 'Fn::Sub') {
      const [text, variables = {}] = [argument].flat();
      for (const [, used] of text.matchAll(/\$\{([^!}][^}]*)\}/g)) {
        const [id, ...attribute] = used.split('.');
        if (used in variables) continue;
        if (attribute.length === 0) this.reference(path, id);
        else this.attribute(path, id, attribute);
      }
    }
    const condition = name === 'Fn::If' ? argument[0] : name === 'Condition' ? argument : undefined;
    if (condition !== undefined && !(condition in (this.template.Conditions ?? {}))) {
      this.add(path, `knows no condition ${condition}`);
    }
    if (
      name === 'Fn::FindInMap' &&
      typeof argument[0] === 'string' &&
      !(argument[0] in (this.template.Mappings ?? {}))
    ) {
      this.add(path, `knows no mapping ${argument[0]}`);
    }
  }

  private reference(path: string, id: string): void {
    const { Resources = {}, Parameters = {} } = this.template;
    if (PSEUDO_PARAMETERS.includes(id) || id in Resources || id in Parameters) return;
    this.add(path, `knows no resource or parameter ${id}`);
  }

  private attribute(path: string, id: string, attribute: Json[]): void {
    const resource = this.template.Resources?.[id];
    if (resource === undefined) {
      this.add(path, `knows no resource ${id}`);
      return;
    }
    const name = attribute.join('.');
    const schema = schemaOf(resource.Type);
    const isFree = isCustom(resource.Type) || attribute.some(isIntrinsic) || /^Outputs\./.test(name);
    if (!isFree && schema !== undefined && !(name in schema.attributes)) {
      this.add(path, `asks for ${name}, which ${resource.Type} has not: ${Object.keys(schema.attributes).join(', ')}`);
    }
  }

  private keys(path: string, value: Json, allowed: string[]): void {
    for (const key of Object.keys(value)) if (!allowed.includes(key)) this.add(path, `has no ${key}`);
  }

  private most(what: string, got: number, limit: number): void {
    if (got > limit) this.add('template', `has ${got} ${what}; at most ${limit} are allowed`);
  }

  private add(path: string, what: string): void {
    this.mistakes.push(`${path} ${what}`);
  }
}

function objectMistakes(path: string, value: Json, properties: ResourceProperties): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return [`${path} ${expected('an object', value)}`];
  const unknown = Object.keys(value).filter((key) => !(key in properties));
  const missing = Object.keys(properties).filter((key) => properties[key]?.required && value[key] === undefined);
  return [
    ...unknown.map((key) => `${path} has no property ${key}`),
    ...missing.map((key) => `${path} lacks ${key}`),
    ...Object.entries(properties).flatMap(([key, { type }]) =>
      value[key] === undefined ? [] : valueMistakes(`${path}.${key}`, value[key], type),
    ),
  ];
}

function valueMistakes(path: string, value: Json, type: PropertyType): string[] {
  if (isIntrinsic(value)) return [];
  const must = (right: boolean, what: string) => (right ? [] : [`${path} ${expected(what, value)}`]);
  switch (type.type) {
    case 'string':
    case 'integer': {
      const right = type.type === 'string' ? typeof value === 'string' : Number.isInteger(value);
      const allowed: readonly unknown[] | undefined = type.allowedValues;
      if (!right || allowed === undefined) return must(right, type.type);
      return must(allowed.includes(value), `one of ${allowed.join(', ')}`);
    }
    case 'number':
    case 'boolean':
      return must(typeof value === type.type, type.type);
    case 'date-time':
      return must(!Number.isNaN(Date.parse(value)), 'a time');
    case 'json':
      return must(typeof value === 'object' || typeof value === 'string', 'JSON');
    case 'null':
      return must(value === null, 'null');
    case 'tag':
      return objectMistakes(path, value, {
        Key: { type: { type: 'string' }, required: true },
        Value: { type: { type: 'string' }, required: true },
      });
    case 'ref':
      return objectMistakes(path, value, database.get('typeDefinition', type.reference).properties);
    case 'array':
      if (!Array.isArray(value)) return must(false, 'a list');
      return value.flatMap((item, index) => valueMistakes(`${path}[${index}]`, item, type.element));
    case 'map':
      if (typeof value !== 'object' || Array.isArray(value)) return must(false, 'a map');
      return Object.entries(value).flatMap(([key, item]) => valueMistakes(`${path}.${key}`, item, type.element));
    case 'union': {
      const tried = type.types.map((one) => valueMistakes(path, value, one));
      return tried.sort((a, b) => a.length - b.length)[0] ?? [];
    }
  }
}

function expected(what: string, value: Json): string {
  return `must be ${what}, got ${JSON.stringify(value)}`;
}

function isIntrinsic(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return false;
  const [key, ...others] = Object.keys(value);
  return others.length === 0 && key !== undefined && /^(Ref|Condition|Fn::\w+)$/.test(key);
}

function isCustom(type: string): boolean {
  return type.startsWith('Custom::') || type === 'AWS::CloudFormation::CustomResource';
}

function schemaOf(type: string): Resource | undefined {
  return database.lookup('resource', 'cloudFormationType', 'equals', type)[0];
}
