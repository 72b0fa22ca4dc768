import { XMLParser } from 'fast-xml-parser';
import { ApiError, type Shape } from '../../service';

const NAMESPACE = 'http://s3.amazonaws.com/doc/2006-03-01/';

/** A document for a reply: arrays repeat their element, undefined members are left out. */
export function document(root: string, content: Shape, namespace = NAMESPACE): string {
  const opening = namespace ? `<${root} xmlns="${namespace}">` : `<${root}>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${opening}${children(content)}</${root}>`;
}

function children(content: Shape): string {
  if (content === null || typeof content !== 'object') return escaped(String(content));
  let text = '';
  for (const [name, value] of Object.entries(content)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) text += `<${name}>${children(one)}</${name}>`;
  }
  return text;
}

function escaped(text: string): string {
  return text.replace(/[&<>"\r]/g, (c) => `&#${c.charCodeAt(0)};`);
}

/** The elements that may repeat, so that one of them is a list as well. */
const LISTS = new Set(['Part', 'Object', 'Tag']);

const parser = new XMLParser({
  ignoreAttributes: true,
  parseTagValue: false, // a key may look like a number
  trimValues: false, // a key may begin with a blank
  isArray: (name) => LISTS.has(name),
  processEntities: { enabled: true, maxTotalExpansions: 1_000_000, maxExpandedLength: 10_000_000 },
});

/** The content of a request's document, all values strings. */
export function parse(text: string, root: string): Shape {
  let parsed: Shape;
  try {
    parsed = parser.parse(text);
  } catch {
    parsed = undefined;
  }
  if (parsed?.[root] === undefined) {
    throw new ApiError(
      'MalformedXML',
      `The XML you provided was not well-formed or did not validate against our published schema: expected <${root}>`,
    );
  }
  return parsed[root];
}
