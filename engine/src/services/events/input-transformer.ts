import type { InputTransformer, Target } from '@aws-sdk/client-eventbridge';
import type { Checked } from '../../api/checked';
import type { Shape } from '../../service';

/** What EventBridge says about itself in a template, beyond the event. */
export interface RuleFacts {
  readonly ruleArn: string;
  readonly ruleName: string;
  /** ISO. */
  readonly ingestionTime: string;
}

/** The text that a target gets for an event, by the target's `Input`, `InputPath` or `InputTransformer`. */
export function targetInput(target: Checked<Target>, event: object, facts: RuleFacts): string {
  if (target.Input !== undefined) return target.Input;
  if (target.InputPath !== undefined) return JSON.stringify(readPath(target.InputPath, event) ?? null);
  if (target.InputTransformer !== undefined) return transform(target.InputTransformer, event, facts);
  return JSON.stringify(event);
}

/**
 * Fills a template's `<name>`s as EventBridge does: a value that stands by itself in a JSON template keeps its JSON type;
 * inside a string it becomes text, without quotes; what the event lacks becomes an empty string.
 */
function transform(
  { InputPathsMap = {}, InputTemplate }: Checked<InputTransformer>,
  event: object,
  facts: RuleFacts,
): string {
  const isJson = /^\s*[{[]/.test(InputTemplate);
  return InputTemplate.replace(/<([\w.-]+)>/g, (placeholder: string, name: string, at: number) => {
    const value = lookUp(name, InputPathsMap, event, facts);
    const inString = !isJson || insideString(InputTemplate, at);
    if (value === placeholder) return placeholder;
    return inString ? asText(value) : JSON.stringify(value ?? '');
  });
}

function lookUp(name: string, paths: Readonly<Record<string, string>>, event: Shape, facts: RuleFacts): Shape {
  switch (name) {
    case 'aws.events.rule-arn':
      return facts.ruleArn;
    case 'aws.events.rule-name':
      return facts.ruleName;
    case 'aws.events.event.ingestion-time':
      return facts.ingestionTime;
    case 'aws.events.event.json':
      return event;
    case 'aws.events.event': {
      const { detail: _, ...rest } = event;
      return rest;
    }
    default: {
      const path = paths[name];
      return path === undefined ? undefined : readPath(path, event);
    }
  }
}

/** EventBridge puts objects into strings without their quotes, which keeps the string whole. */
function asText(value: Shape): string {
  if (value === undefined || value === null) return '';
  if (typeof value === 'string') return JSON.stringify(value).slice(1, -1);
  return JSON.stringify(value).replaceAll('"', '');
}

/** Whether a place of a JSON text lies between the quotes of a string. */
function insideString(json: string, at: number): boolean {
  let inside = false;
  for (let i = 0; i < at; i++) {
    if (json[i] === '\\') i++;
    else if (json[i] === '"') inside = !inside;
  }
  return inside;
}

/** The part of an event at `$.detail.list[0]['a key']`; undefined if there is none. */
function readPath(path: string, event: Shape): Shape {
  const steps = [...path.matchAll(/\.([^.[\]]+)|\[(\d+)\]|\['([^']+)'\]|\["([^"]+)"\]/g)];
  return steps.reduce((value, [, dotted, index, single, double]) => {
    const key = dotted ?? index ?? single ?? double;
    return key === undefined ? undefined : value?.[key];
  }, event);
}
