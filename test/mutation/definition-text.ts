import type { Definition } from '../support/definition';

// biome-ignore lint/suspicious/noExplicitAny: CloudFormation's intrinsics
type Json = any;

/** A `DefinitionString` as an object; `text` gives it back, intrinsics and all. */
export function parsed(definitionString: Json): { definition: Definition; text: () => Json } {
  const parts: Json[] = typeof definitionString === 'string' ? [definitionString] : definitionString['Fn::Join'][1];
  const printed = parts.map((part, i) => (typeof part === 'string' ? part : `@@${i}@@`)).join('');
  const definition = JSON.parse(printed) as Definition;
  return {
    definition,
    text: () => {
      const pieces = JSON.stringify(definition)
        .split(/@@(\d+)@@/)
        .map((piece, i) => (i % 2 === 1 ? parts[Number(piece)] : piece));
      return { 'Fn::Join': ['', pieces] };
    },
  };
}
