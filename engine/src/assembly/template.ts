import { readFileSync } from 'node:fs';
import type { AwsEnvironment, Resource, Shape } from '../service';
import { type Identity, identify, isKnownType } from './resource-types';

export interface StackOptions {
  readonly name: string;
  /** The file of an asset, by the last part of its S3 address: nested stacks' templates are assets. */
  readonly asset: (key: string) => string | undefined;
  readonly template: Shape;
  readonly aws: AwsEnvironment;
  readonly endpoint: string;
  /** How often the stack has been deleted: a name that is not given is another one each time. @default 0 */
  readonly deletions?: number;
  readonly parameters: Readonly<Record<string, string>>;
  /** Values of a nested stack's parameters, given by its parent. */
  readonly given?: (parameter: string) => Shape;
  /** Asked for what other stacks export. */
  readonly exported: (name: string) => Shape;
}

/** What `AWS::NoValue` is while a template is being resolved: it removes what holds it. */
const NO_VALUE = Symbol('AWS::NoValue');

type Intrinsic = (argument: Shape) => Shape;

/** One stack's template; resolves references lazily, so that resources and stacks may refer to each other in any order. */
export class StackTemplate {
  readonly name: string;
  private readonly identities = new Map<string, Identity>();
  private readonly nested = new Map<string, StackTemplate>();
  private readonly conditions = new Map<string, boolean>();
  /** What is being resolved, to tell a circle. */
  private readonly path: string[] = [];
  private readonly intrinsics: Readonly<Record<string, Intrinsic>>;

  constructor(private readonly options: StackOptions) {
    this.name = options.name;
    this.intrinsics = this.makeIntrinsics();
  }

  resources(): Resource[] {
    return this.present().flatMap(([logicalId, raw]) => {
      if (raw.Type === 'AWS::CloudFormation::Stack') return this.nestedStack(logicalId).resources();
      const { physicalId, arn } = this.identity(logicalId);
      const properties = this.within(logicalId, () => this.value(raw.Properties ?? {}));
      const path = raw.Metadata?.['aws:cdk:path'] ?? logicalId;
      return [
        {
          ...{ stack: this.name, logicalId, path, type: raw.Type, physicalId, arn, properties },
          ...(raw.DeletionPolicy !== undefined && { deletionPolicy: String(raw.DeletionPolicy) }),
          ...(raw.DependsOn !== undefined && { dependsOn: [raw.DependsOn].flat().map(String) }),
        },
      ];
    });
  }

  outputs(): Record<string, string> {
    const present = Object.entries<Shape>(this.options.template.Outputs ?? {}).filter(
      ([, output]) => output.Condition === undefined || this.condition(output.Condition),
    );
    return Object.fromEntries(present.map(([key, output]) => [key, this.within(key, () => this.value(output.Value))]));
  }

  /** The value that the stack exports under a name, if it does. */
  exported(name: string): Shape | undefined {
    for (const [key, output] of Object.entries<Shape>(this.options.template.Outputs ?? {})) {
      if (output.Export !== undefined && this.value(output.Export.Name) === name) {
        return this.within(key, () => this.value(output.Value));
      }
    }
    return undefined;
  }

  private present(): [string, Shape][] {
    return Object.entries<Shape>(this.options.template.Resources ?? {}).filter(
      ([, raw]) => raw.Condition === undefined || this.condition(raw.Condition),
    );
  }

  private identity(logicalId: string): Identity {
    const known = this.identities.get(logicalId);
    if (known !== undefined) return known;
    const raw = this.raw(logicalId);
    const identity = this.within(`the name of ${logicalId}`, () => {
      const properties = new Proxy(raw.Properties ?? {}, { get: (all, key) => this.value(Reflect.get(all, key)) });
      const { aws, endpoint, deletions } = this.options;
      return identify(raw.Type, this.name, logicalId, properties, aws, endpoint, deletions);
    });
    this.identities.set(logicalId, identity);
    return identity;
  }

  private raw(logicalId: string): Shape {
    const raw = this.options.template.Resources?.[logicalId];
    if (raw === undefined || (raw.Condition !== undefined && !this.condition(raw.Condition))) {
      throw this.error(`nothing here is called ${logicalId}, or its condition is false`);
    }
    return raw;
  }

  private nestedStack(logicalId: string): StackTemplate {
    const known = this.nested.get(logicalId);
    if (known !== undefined) return known;
    const raw = this.raw(logicalId);
    const url = String(this.value(raw.Properties?.TemplateURL));
    const file = this.options.asset(url.slice(url.lastIndexOf('/') + 1));
    if (file === undefined)
      throw this.error(`the template of the nested stack ${logicalId}, ${url}, is no asset of the app`);
    const stack = new StackTemplate({
      ...this.options,
      name: `${this.name}-${logicalId}`,
      template: JSON.parse(readFileSync(file, 'utf8')),
      given: (parameter) => this.value(raw.Properties?.Parameters?.[parameter]),
    });
    this.nested.set(logicalId, stack);
    return stack;
  }

  private value(raw: Shape): Shape {
    if (Array.isArray(raw)) return raw.map((one) => this.value(one)).filter((one) => one !== NO_VALUE);
    if (raw === null || typeof raw !== 'object') return raw;
    const entries = Object.entries(raw);
    const [[key, argument] = ['', undefined]] = entries;
    if (entries.length === 1) {
      const intrinsic = Object.hasOwn(this.intrinsics, key) ? this.intrinsics[key] : undefined;
      if (intrinsic !== undefined) return intrinsic(argument);
      if (key.startsWith('Fn::')) {
        throw this.error(`${key} is not known to the engine; it knows ${Object.keys(this.intrinsics).join(', ')}`);
      }
    }
    const values = entries.map(([name, one]) => [name, this.value(one)] as const);
    return Object.fromEntries(values.filter(([, one]) => one !== NO_VALUE));
  }

  private makeIntrinsics(): Record<string, Intrinsic> {
    const { template, aws } = this.options;
    return {
      Ref: (name) => this.reference(name),
      Condition: (name) => (typeof name === 'string' ? this.condition(name) : { Condition: this.value(name) }), // a policy statement's
      'Fn::GetAtt': (target) => this.attribute(target),
      'Fn::Join': ([separator, parts]) => this.list(parts).join(separator),
      'Fn::Sub': (argument) => this.substitute(argument),
      'Fn::Select': ([index, list]) => this.select(Number(this.value(index)), this.list(list)),
      'Fn::Split': ([separator, text]) => String(this.value(text)).split(separator),
      'Fn::If': ([name, yes, no]) => this.value(this.condition(name) ? yes : no),
      'Fn::Equals': ([a, b]) => same(this.value(a), this.value(b)),
      'Fn::And': (all: Shape[]) => all.every((one) => this.value(one)),
      'Fn::Or': (all: Shape[]) => all.some((one) => this.value(one)),
      'Fn::Not': ([one]) => !this.value(one),
      'Fn::FindInMap': ([map, first, second, defaults]) => {
        const found = template.Mappings?.[this.value(map)]?.[this.value(first)]?.[this.value(second)];
        if (found !== undefined) return found;
        if (defaults !== undefined) return this.value(defaults.DefaultValue);
        throw this.error(`mapping ${this.value(map)} has no ${this.value(first)}.${this.value(second)}`);
      },
      'Fn::Base64': (text) => Buffer.from(String(this.value(text))).toString('base64'),
      'Fn::GetAZs': (region) => ['a', 'b', 'c'].map((zone) => `${this.value(region) || aws.region}${zone}`),
      'Fn::ImportValue': (name) => this.options.exported(this.value(name)),
      'Fn::Length': (list) => this.list(list).length,
      'Fn::ToJsonString': (any) => JSON.stringify(this.value(any)),
      'Fn::Cidr': ([block, count, bits]) =>
        cidrs(this.value(block), Number(this.value(count)), Number(this.value(bits))),
    };
  }

  private reference(name: string): Shape {
    const pseudo = this.pseudo(name);
    if (pseudo !== undefined) return pseudo;
    if (this.options.template.Parameters?.[name] !== undefined) return this.parameter(name);
    if (this.options.template.Resources?.[name]?.Type === 'AWS::CloudFormation::Stack') {
      return this.stackId(this.nestedStack(name).name);
    }
    return this.identity(name).physicalId;
  }

  private pseudo(name: string): Shape {
    const { account, region, partition, urlSuffix } = this.options.aws;
    switch (name) {
      case 'AWS::AccountId':
        return account;
      case 'AWS::Region':
        return region;
      case 'AWS::Partition':
        return partition;
      case 'AWS::URLSuffix':
        return urlSuffix;
      case 'AWS::StackName':
        return this.name;
      case 'AWS::StackId':
        return this.stackId(this.name);
      case 'AWS::NotificationARNs':
        return [];
      case 'AWS::NoValue':
        return NO_VALUE;
      default:
        return undefined;
    }
  }

  private stackId(name: string): string {
    const { account, region, partition } = this.options.aws;
    return `arn:${partition}:cloudformation:${region}:${account}:stack/${name}/00000000-0000-4000-8000-000000000000`;
  }

  private parameter(name: string): Shape {
    const { parameters, given } = this.options;
    const { Type: type, Default: value } = this.options.template.Parameters[name];
    const set = given?.(name) ?? parameters[`${this.name}.${name}`] ?? parameters[name];
    if (set !== undefined) return set;
    if (/\/cdk-bootstrap\/[^/]+\/version$/.test(value ?? '')) return '999'; // nothing to bootstrap here
    if (value === undefined || String(type).startsWith('AWS::SSM::Parameter::')) {
      const why = value === undefined ? 'has no default' : `is read from the SSM parameter ${value}`;
      throw this.error(
        `the parameter ${name} ${why}: give the engine its value, parameters: { '${this.name}.${name}': … }`,
      );
    }
    return /^(CommaDelimitedList|List<)/.test(type) ? String(value).split(/\s*,\s*/) : value;
  }

  private attribute(target: string | [string, Shape]): Shape {
    const [logicalId = '', name = ''] = Array.isArray(target)
      ? [target[0], String(this.value(target[1]))]
      : [target.slice(0, target.indexOf('.')), target.slice(target.indexOf('.') + 1)];
    const { Type: type } = this.raw(logicalId);
    if (type === 'AWS::CloudFormation::Stack') return this.nestedOutput(logicalId, name.replace(/^Outputs\./, ''));
    if (/^Custom::|^AWS::CloudFormation::CustomResource$/.test(type)) {
      throw this.error(
        `${logicalId}.${name} is the answer of a custom resource (${type}), which the engine does not run`,
      );
    }
    const { attributes } = this.identity(logicalId);
    const make = isKnownType(type) || name === 'Arn' ? attributes[name] : undefined;
    if (make === undefined) {
      throw this.error(`the engine does not know ${name} of ${type}; it knows ${Object.keys(attributes).join(', ')}`);
    }
    return this.within(`${logicalId}.${name}`, make);
  }

  private nestedOutput(logicalId: string, name: string): Shape {
    const outputs = this.nestedStack(logicalId).outputs();
    if (name in outputs) return outputs[name];
    throw this.error(`the nested stack ${logicalId} has no output ${name}; it has ${Object.keys(outputs).join(', ')}`);
  }

  private substitute(argument: string | [string, Shape]): string {
    const [text, variables] = Array.isArray(argument) ? argument : [argument, {}];
    return text.replace(/\$\{(!?)([^}]+)\}/g, (_, literal: string, name: string) => {
      if (literal !== '') return `\${${name}}`;
      if (name in variables) return this.value(variables[name]);
      return name.includes('.') ? this.attribute(name) : this.reference(name);
    });
  }

  private list(raw: Shape): Shape[] {
    const list = this.value(raw);
    if (!Array.isArray(list)) throw this.error(`expected a list, got ${JSON.stringify(list)}`);
    return list;
  }

  private select(index: number, list: Shape[]): Shape {
    if (!(index in list)) throw this.error(`Fn::Select asks for element ${index} of ${list.length}`);
    return list[index];
  }

  private condition(name: string): boolean {
    const known = this.conditions.get(name);
    if (known !== undefined) return known;
    const raw = this.options.template.Conditions?.[name];
    if (raw === undefined) throw this.error(`there is no condition ${name}`);
    const value = this.within(`condition ${name}`, () => this.value(raw) === true);
    this.conditions.set(name, value);
    return value;
  }

  private within<T>(step: string, work: () => T): T {
    if (this.path.includes(step)) throw this.error(`circular reference: ${[...this.path, step].join(' -> ')}`);
    this.path.push(step);
    try {
      return work();
    } finally {
      this.path.pop();
    }
  }

  private error(message: string): Error {
    const [where] = this.path;
    return new Error(`stack ${this.name}${where === undefined ? '' : `, ${where}`}: ${message}`);
  }
}

function same(a: Shape, b: Shape): boolean {
  return typeof a === 'object' || typeof b === 'object'
    ? JSON.stringify(a) === JSON.stringify(b)
    : String(a) === String(b);
}

/** `count` blocks of `2 ** bits` IPv4 addresses each. */
function cidrs(block: string, count: number, bits: number): string[] {
  const [address = ''] = block.split('/');
  const start = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  return Array.from({ length: count }, (_, index) => {
    const first = start + index * 2 ** bits;
    const parts = [24, 16, 8, 0].map((shift) => Math.floor(first / 2 ** shift) % 256);
    return `${parts.join('.')}/${32 - bits}`;
  });
}
