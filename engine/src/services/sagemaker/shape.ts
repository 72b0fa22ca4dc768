import type { Shape } from '../../service';
import { invalid } from './host';

/** A rule about a value: gives what is wrong with it, or nothing. */
type Rule = { readonly required?: true; readonly check: (value: Shape, path: string) => string[] };
export type Members = Readonly<Record<string, Rule>>;

const NAME = /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/;

export function text(limits: { max?: number; min?: number; pattern?: RegExp; oneOf?: readonly string[] } = {}): Rule {
  const { max, min, pattern, oneOf } = limits;
  return {
    check(value, path) {
      if (typeof value !== 'string') return [wrong(value, path, 'must be a string')];
      return [
        oneOf && !oneOf.includes(value) && wrong(value, path, `must satisfy enum value set: [${oneOf.join(', ')}]`),
        max !== undefined && value.length > max && wrong(value, path, `must have length less than or equal to ${max}`),
        min !== undefined &&
          value.length < min &&
          wrong(value, path, `must have length greater than or equal to ${min}`),
        pattern &&
          !pattern.test(value) &&
          wrong(value, path, `must satisfy regular expression pattern: ${source(pattern)}`),
      ].filter((problem) => typeof problem === 'string');
    },
  };
}

export const name = text({ pattern: NAME });
export const roleArn = text({
  min: 20,
  max: 2048,
  pattern: /^arn:aws[a-z-]*:iam::\d{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/,
});
export const uri = text({ max: 1024, pattern: /^(https|s3):\/\/([^/]+)\/?(.*)$/ });
export const anything: Rule = { check: () => [] };
export const flag: Rule = {
  check: (value, path) => (typeof value === 'boolean' ? [] : [wrong(value, path, 'must be a boolean')]),
};

export function whole(min: number, max: number): Rule {
  return number(min, max, true);
}

export function number(min: number, max: number, integer = false): Rule {
  return {
    check(value, path) {
      if (typeof value !== 'number' || (integer && !Number.isInteger(value))) {
        return [wrong(value, path, `must be ${integer ? 'an integer' : 'a number'}`)];
      }
      if (value < min) return [wrong(value, path, `must have value greater than or equal to ${min}`)];
      return value > max ? [wrong(value, path, `must have value less than or equal to ${max}`)] : [];
    },
  };
}

export function list(of: Rule, min: number, max: number): Rule {
  return {
    check(value, path) {
      if (!Array.isArray(value)) return [wrong(value, path, 'must be a list')];
      const size = value.length < min || value.length > max;
      return [
        ...(size ? [wrong(value, path, `must have length between ${min} and ${max}`)] : []),
        ...value.flatMap((item, index) => of.check(item, `${path}.${index + 1}.member`)),
      ];
    },
  };
}

export function map(key: Rule, value: Rule, max: number): Rule {
  return {
    check(given, path) {
      if (typeof given !== 'object' || given === null) return [wrong(given, path, 'must be a map')];
      const entries = Object.entries(given);
      return [
        ...(entries.length > max ? [wrong(`${entries.length} entries`, path, `must have at most ${max} entries`)] : []),
        ...entries.flatMap(([name, item]) => [
          ...key.check(name, `${path} key`),
          ...value.check(item, `${path}.${name}`),
        ]),
      ];
    },
  };
}

export function structure(members: Members): Rule {
  return {
    check(value, path) {
      if (typeof value !== 'object' || value === null) return [wrong(value, path, 'must be a structure')];
      const unknown = Object.keys(value).filter((member) => !(member in members));
      const place = path === '' ? 'the request' : `'${path}'`;
      return [
        ...unknown.map(
          (member) => `Unknown member '${member}' in ${place}; known are ${Object.keys(members).join(', ')}`,
        ),
        ...Object.entries(members).flatMap(([member, rule]) => {
          const at = path === '' ? lower(member) : `${path}.${lower(member)}`;
          const given = value[member];
          if (given === undefined || given === null) return rule.required ? [wrong(null, at, 'must not be null')] : [];
          return rule.check(given, at);
        }),
      ];
    },
  };
}

export function required(rule: Rule): Rule {
  return { ...rule, required: true };
}

/** Refuses a request that the API would refuse, naming everything that is wrong with it. */
export function validate(input: Shape, members: Members): void {
  const problems = structure(members).check(input ?? {}, '');
  if (problems.length === 0) return;
  const count = `${problems.length} validation error${problems.length === 1 ? '' : 's'} detected`;
  throw invalid(`${count}: ${problems.join('; ')}`);
}

function wrong(value: Shape, path: string, constraint: string): string {
  const shown = value === null ? 'Value null' : `Value '${typeof value === 'string' ? value : JSON.stringify(value)}'`;
  return `${shown.slice(0, 300)} at '${path}' failed to satisfy constraint: Member ${constraint}`;
}

function lower(member: string): string {
  return member[0].toLowerCase() + member.slice(1);
}

function source(pattern: RegExp): string {
  return pattern.source.replace(/^\^|\$$/g, '');
}

export const tags = list(
  structure({ Key: required(text({ min: 1, max: 128 })), Value: required(text({ max: 256 })) }),
  0,
  50,
);
export const vpc = structure({
  SecurityGroupIds: required(list(text(), 1, 5)),
  Subnets: required(list(text(), 1, 16)),
});
export const environment = (longest: number) =>
  map(text({ max: 512, pattern: /^[a-zA-Z_][a-zA-Z0-9_]*$/ }), text({ max: longest }), 100);
