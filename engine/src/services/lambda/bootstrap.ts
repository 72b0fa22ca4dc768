/** What stands before an invocation's id where its part of a stream ends. */
export const END_MARK = '\0';

/**
 * What a Lambda function's child process runs: it loads the handler and asks the Runtime API for work.
 *
 * A text, because the engine writes it beside its state and starts it from there: so it works
 * from sources, from a bundle and from an installed package alike.
 */
export const BOOTSTRAP = String.raw`
import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { AWS_LAMBDA_RUNTIME_API: api, LAMBDA_TASK_ROOT: root, _HANDLER: wanted, ...env } = process.env;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

// The engine's time runs ahead of this machine's, because its waits are short: the handler sees the engine's.
const realNow = Date.now;
let ahead = 0;
const engineNow = () => realNow() + ahead;
globalThis.Date = new Proxy(Date, {
  construct: (target, given, made) => Reflect.construct(target, given.length > 0 ? given : [engineNow()], made),
  apply: (target) => new target(engineNow()).toString(),
  get: (target, name) => (name === 'now' ? engineNow : Reflect.get(target, name)),
});

function call(method, path, body) {
  return new Promise((done, failed) => {
    const sent = request('http://' + api + '/2018-06-01/runtime' + path, { method, agent }, (answer) => {
      const chunks = [];
      answer.on('data', (chunk) => chunks.push(chunk));
      answer.on('end', () => done({ headers: answer.headers, body: Buffer.concat(chunks).toString() }));
      answer.on('error', failed);
    });
    sent.on('error', failed);
    sent.end(body);
  });
}

function report(error, type) {
  const known = error instanceof Error;
  return JSON.stringify({
    errorType: type ?? (known ? error.name : typeof error),
    errorMessage: known ? error.message : String(error),
    trace: known ? String(error.stack).split('\n') : [],
  });
}

function named(name, message) {
  return Object.assign(new Error(message), { name });
}

async function load() {
  const dot = wanted.indexOf('.', wanted.lastIndexOf('/') + 1);
  const file = ['.mjs', '.js', '.cjs'].map((end) => join(root, wanted.slice(0, dot) + end)).find((it) => existsSync(it));
  if (file === undefined) throw named('Runtime.ImportModuleError', "Error: Cannot find module '" + wanted.slice(0, dot) + "'");
  const loaded = await import(pathToFileURL(file).href);
  const pick = (from) => wanted.slice(dot + 1).split('.').reduce((value, key) => value?.[key], from);
  const handler = pick(loaded) ?? pick(loaded.default);
  if (typeof handler !== 'function') throw named('Runtime.HandlerNotFound', wanted + ' is undefined or not exported');
  return handler;
}

let current;
function mark(id) {
  for (const stream of [process.stdout, process.stderr]) stream.write('\0' + id + '\n');
}
function note(what, error, type) {
  console.error(what + '\t' + report(error, type));
}
let crashing = false;
async function crash(error, type) {
  if (crashing) return;
  crashing = true;
  note(current === undefined ? 'Uncaught Exception' : 'Invoke Error', error, type);
  await call('POST', current === undefined ? '/init/error' : '/invocation/' + current + '/error', report(error, type)).catch(() => {});
  process.exit(128);
}
// The engine alone holds the other ends: once they are closed, it is gone.
for (const stream of [process.stdin, process.stdout, process.stderr]) stream.on('error', () => process.exit(0));
process.stdin.on('end', () => process.exit(0)).resume();
process.on('uncaughtException', (error) => crash(error));
process.on('unhandledRejection', (error) => crash(error, 'Runtime.UnhandledPromiseRejection'));

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    awsRequestId: current,
    functionName: env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    logGroupName: env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: env.AWS_LAMBDA_LOG_STREAM_NAME,
    callbackWaitsForEmptyEventLoop: true,
    getRemainingTimeInMillis: () => Math.max(0, deadline - realNow()),
  };
}

let handler;
try {
  handler = await load();
} catch (error) {
  note('Init Error', error);
  await call('POST', '/init/error', report(error));
  process.exit(1);
}
for (;;) {
  const next = await call('GET', '/invocation/next').catch(() => process.exit(0));
  current = next.headers['lambda-runtime-aws-request-id'];
  ahead = Number(next.headers['perennial-clock-ahead-ms']);
  let outcome;
  try {
    const result = await handler(JSON.parse(next.body), contextOf(next.headers));
    outcome = ['/response', JSON.stringify(result ?? null)];
  } catch (error) {
    note('Invoke Error', error);
    outcome = ['/error', report(error)];
  }
  const done = current;
  current = undefined;
  mark(done);
  await call('POST', '/invocation/' + done + outcome[0], outcome[1]).catch(() => process.exit(0));
}
`;
