import type { IncomingMessage, ServerResponse } from 'node:http';
import { XMLBuilder } from 'fast-xml-parser';
import { ApiError, type Shape } from '../service';
import { decodeCbor, encodeCbor } from './cbor';

/** A request of a protocol that names its operation; REST protocols are the services' own. */
export interface Call {
  readonly operation: string;
  readonly input: Shape;
  reply(output: Shape): void;
}

/** The services that AWS lets forms speak to (its query protocol), by signing name; to others a form is no call. */
const FORM_SERVICES: ReadonlySet<string> = new Set(['cloudformation', 'monitoring', 'sns', 'sqs', 'sts']);

/** Reads a request's operation and input; undefined if it is REST. */
export function readCall(
  service: string,
  request: IncomingMessage,
  response: ServerResponse,
  body: Buffer,
): Call | undefined {
  const type = request.headers['content-type'] ?? '';
  const target = request.headers['x-amz-target'];
  if (typeof target === 'string') {
    const operation = target.slice(target.lastIndexOf('.') + 1);
    const input = parse(body, 'JSON', () => JSON.parse(body.toString()));
    return { operation, input, reply: (output) => send(response, 200, type, toJson(output ?? {})) };
  }
  if (isCbor(request)) {
    const operation = request.url?.slice(request.url.lastIndexOf('/') + 1) ?? '';
    const input = parse(body, 'CBOR', () => decodeCbor(body));
    response.setHeader('smithy-protocol', CBOR);
    return { operation, input, reply: (output) => send(response, 200, type, encodeCbor(output ?? {})) };
  }
  if (FORM_SERVICES.has(service) && request.method === 'POST' && isForm(type)) {
    const { Action: operation = '', Version: _, ...input } = fromForm(body.toString());
    return {
      operation,
      input,
      reply: (output) => send(response, 200, 'text/xml', queryReply(operation, output, requestId(response))),
    };
  }
  return undefined;
}

/** What SQS's errors are called in its older protocol, by which boto3 and the AWS CLI still know them. */
const SQS_QUERY_CODES: Readonly<Record<string, string>> = {
  QueueDoesNotExist: 'AWS.SimpleQueueService.NonExistentQueue',
  QueueNameExists: 'QueueAlreadyExists',
  EmptyBatchRequest: 'AWS.SimpleQueueService.EmptyBatchRequest',
  TooManyEntriesInBatchRequest: 'AWS.SimpleQueueService.TooManyEntriesInBatchRequest',
  BatchEntryIdsNotDistinct: 'AWS.SimpleQueueService.BatchEntryIdsNotDistinct',
  InvalidBatchEntryId: 'AWS.SimpleQueueService.InvalidBatchEntryId',
  BatchRequestTooLong: 'AWS.SimpleQueueService.BatchRequestTooLong',
  MessageNotInflight: 'AWS.SimpleQueueService.MessageNotInflight',
  KmsAccessDenied: 'KMS.AccessDeniedException',
  KmsDisabled: 'KMS.DisabledException',
};

/** Writes an error as the request's protocol does. */
export function sendError(request: IncomingMessage, response: ServerResponse, error: ApiError, service: string): void {
  const type = request.headers['content-type'] ?? '';
  const { code, message, status, details } = error;
  if (response.headersSent) {
    response.destroy(error);
  } else if (request.headers['x-amz-target'] !== undefined) {
    if (service === 'sqs')
      response.setHeader(
        'x-amzn-query-error',
        `${SQS_QUERY_CODES[code] ?? code};${status < 500 ? 'Sender' : 'Receiver'}`,
      );
    send(response, status, type, toJson({ __type: code, message, Message: message, ...details }));
  } else if (isCbor(request)) {
    response.setHeader('smithy-protocol', CBOR);
    send(response, status, type, encodeCbor({ __type: code, message, Message: message, ...details }));
  } else if (service === 's3') {
    send(
      response,
      status,
      'application/xml',
      xml({ Error: { Code: inXmlTerms(code, service), Message: message, ...details } }),
    );
  } else if (isForm(type)) {
    const content = {
      Type: status < 500 ? 'Sender' : 'Receiver',
      Code: inXmlTerms(code, service),
      Message: message,
      ...details,
    };
    send(response, status, 'text/xml', xml({ ErrorResponse: { Error: content, RequestId: requestId(response) } }));
  } else {
    response.setHeader('x-amzn-errortype', code);
    send(response, status, 'application/json', toJson({ __type: code, message, Message: message, ...details }));
  }
}

/** The services that answer in XML have names of their own for a refusal. */
function inXmlTerms(code: string, service: string): string {
  if (code !== 'AccessDeniedException') return code;
  return service === 'sns' ? 'AuthorizationError' : 'AccessDenied';
}

/** Smithy's RPC protocol, by which the Python SDK and the CLI speak to CloudWatch. */
const CBOR = 'rpc-v2-cbor';

function isCbor(request: IncomingMessage): boolean {
  return request.headers['smithy-protocol'] === CBOR;
}

/** A value as AWS's JSON protocols write it: times in seconds since the epoch, bytes in base64. */
export function toJson(value: Shape): string {
  return JSON.stringify(plain(value));
}

function plain(value: Shape): Shape {
  if (value instanceof Date) return value.getTime() / 1000;
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, plain(one)]));
}

function isForm(type: string): boolean {
  return type.startsWith('application/x-www-form-urlencoded');
}

function parse(body: Buffer, format: string, decode: () => Shape): Shape {
  if (body.length === 0) return {};
  let input: Shape;
  try {
    input = decode();
  } catch (error) {
    throw new ApiError('SerializationException', `the request's body is not ${format}: ${(error as Error).message}`);
  }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return input;
  throw new ApiError('SerializationException', `the request's body must be an object in ${format}`);
}

/** Parts of a form's name; no API has structures that are nested as deep. */
const MOST_DEEP = 32;

/** `A.member.1.B=x` becomes `{ A: [{ B: 'x' }] }`; `A.entry.1.key=k&A.entry.1.value=v` becomes `{ A: { k: 'v' } }`. */
export function fromForm(text: string): Shape {
  const tree: Shape = {};
  for (const [path, value] of new URLSearchParams(text)) {
    const keys = path.split('.');
    if (keys.length > MOST_DEEP) throw new ApiError('MalformedQueryString', `a name has more than ${MOST_DEEP} parts`);
    const last = keys.pop() as string;
    let at = tree;
    for (const key of keys) at = own(at, key);
    Object.defineProperty(at, last, { value, enumerable: true, writable: true, configurable: true });
  }
  return folded(tree);
}

/** A child object, made if need be; never one that the prototype has. */
function own(at: Shape, key: string): Shape {
  if (!Object.hasOwn(at, key)) {
    Object.defineProperty(at, key, { value: {}, enumerable: true, writable: true, configurable: true });
  }
  if (typeof at[key] !== 'object') throw new ApiError('MalformedQueryString', `${key} is given twice`);
  return at[key];
}

function folded(node: Shape): Shape {
  if (typeof node !== 'object') return node;
  const entries = Object.entries<Shape>(node);
  const [[only, inner] = ['', undefined]] = entries;
  if (entries.length === 1 && (only === 'member' || only === 'entry')) {
    if (typeof inner !== 'object') return [];
    const items = numbered(inner).map(folded);
    const keyed = items.every(
      (item) => item !== null && typeof item === 'object' && ('key' in item || ('Name' in item && 'Value' in item)),
    );
    if (only === 'member' || !keyed) return items;
    return Object.fromEntries(items.map((item) => [item.key ?? item.Name, item.value ?? item.Value]));
  }
  if (entries.length > 0 && entries.every(([key]) => /^\d+$/.test(key))) return numbered(node).map(folded);
  return Object.fromEntries(entries.map(([key, one]) => [key, folded(one)]));
}

function numbered(node: Shape): Shape[] {
  return Object.entries<Shape>(node)
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, one]) => one);
}

const builder = new XMLBuilder({ ignoreAttributes: false });

/** An object as XML; a key that starts with `@_` is an attribute. */
export function xml(root: Shape): string {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build(root)}`;
}

function queryReply(operation: string, output: Shape, RequestId: string): string {
  return xml({
    [`${operation}Response`]: {
      [`${operation}Result`]: inXml(output ?? {}),
      ResponseMetadata: { RequestId },
    },
  });
}

/** Members that are maps in the query protocol's APIs; without the model a map looks like a structure. */
const MAPS = new Set(['Attributes']);

function inXml(value: Shape, key = ''): Shape {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return { member: value.map((one) => inXml(one)) };
  if (value === null || typeof value !== 'object') return value;
  const entries = Object.entries<Shape>(value).filter(([, one]) => one !== undefined);
  if (MAPS.has(key)) return { entry: entries.map(([name, one]) => ({ key: name, value: inXml(one) })) };
  return Object.fromEntries(entries.map(([name, one]) => [name, inXml(one, name)]));
}

function requestId(response: ServerResponse): string {
  return String(response.getHeader('x-amzn-requestid') ?? '');
}

function send(response: ServerResponse, status: number, type: string, body: string | Buffer): void {
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body);
}
