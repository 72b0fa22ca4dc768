import type { IncomingMessage, ServerResponse } from 'node:http';
import { ApiError, type Sent } from '../../service';
import type { Endpoints } from './endpoints';
import { arnOf, type Host } from './host';

/** Bytes that a request may have. */
const LARGEST_REQUEST = 6 * 1024 ** 2;

export const INVOCATIONS = /^\/endpoints\/([^/]+)\/invocations$/;

/** Answers `InvokeEndpoint`: lets the model answer, captures, and counts. */
export async function invoke(
  host: Host,
  endpoints: Endpoints,
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  { body, caller }: Sent,
): Promise<void> {
  const { context } = host;
  context.authorize(caller, { action: 'sagemaker:InvokeEndpoint', resource: arnOf(host, 'endpoint', name) });
  if (body.length > LARGEST_REQUEST) {
    throw new ApiError(
      'ValidationError',
      `The request must have at most ${LARGEST_REQUEST} bytes, got ${body.length}.`,
      413,
    );
  }
  const header = (key: string) => request.headers[key]?.toString();
  const endpoint = endpoints.serving(name);
  const variant = endpoints.choose(endpoint, header('x-amzn-sagemaker-target-variant'));
  const { VariantName } = variant.config;
  const dimensions = { EndpointName: name, VariantName };
  const contentType = header('content-type') ?? 'application/octet-stream';
  const started = performance.now();
  const answer = await variant.server
    .then((server) => server.invoke(body, { 'content-type': contentType, accept: header('accept') ?? '*/*' }))
    .catch((error: Error) => ({ status: 500, body: Buffer.from(error.message), contentType: 'text/plain' }));
  const { status } = answer;
  const count = (metric: string, value: number) => context.metric('AWS/SageMaker', metric, value, dimensions, 'Count');
  context.metric('AWS/SageMaker', 'ModelLatency', (performance.now() - started) * 1000, dimensions, 'Microseconds');
  context.metric('AWS/SageMaker', 'OverheadLatency', 0, dimensions, 'Microseconds');
  count('Invocations', 1);
  count('InvocationsPerInstance', 1 / variant.instances);
  count('Invocation4XXErrors', status >= 400 && status < 500 ? 1 : 0);
  count('Invocation5XXErrors', status >= 500 ? 1 : 0);
  if (status !== 200) throw modelError(host, name, status, answer.body.toString());
  variant.capture?.record({ contentType, body }, answer, header('x-amzn-sagemaker-inference-id'));
  response.writeHead(200, {
    'content-type': answer.contentType,
    'content-length': answer.body.length,
    'x-amzn-invoked-production-variant': VariantName,
  });
  response.end(answer.body);
}

function modelError(host: Host, name: string, status: number, message: string): ApiError {
  const { partition, region, account } = host.context.aws;
  const kind = status < 500 ? 'client' : 'server';
  return new ApiError(
    'ModelError',
    `Received ${kind} error (${status}) from primary with message "${message}". See the log of endpoint ${name} for more information.`,
    424,
    {
      OriginalStatusCode: status,
      OriginalMessage: message,
      LogStreamArn: `arn:${partition}:logs:${region}:${account}:log-group:/aws/sagemaker/Endpoints/${name}`,
    },
  );
}
