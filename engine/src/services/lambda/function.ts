import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Context, Resource } from '../../service';

/** A Lambda function of the template, ready to run. */
export interface LambdaFunction {
  readonly name: string;
  readonly arn: string;
  /** Its construct's path, for messages. */
  readonly path: string;
  readonly roleArn: string;
  readonly runtime: string;
  readonly handler: string;
  /** Folder of the code. */
  readonly folder: string;
  readonly timeoutSeconds: number;
  readonly memoryMb: number;
  readonly environment: Readonly<Record<string, string>>;
  /** What encrypts the environment. @default - Lambda's own key */
  readonly kmsKey?: string;
  /** Invocations at once; undefined: as many as the engine gives. */
  readonly reserved?: number;
  readonly deadLetterArn?: string;
  /** Why the engine cannot run it; undefined if it can. */
  readonly unsupported?: string;
}

/**
 * Reads an `AWS::Lambda::Function`.
 *
 * Throws where the code is not what `cdk synth` leaves; a function that only this engine
 * cannot run is loaded, and fails when it is invoked.
 */
export function readFunction(resource: Resource, context: Context): LambdaFunction {
  const { properties, path, arn, physicalId } = resource;
  const runtime: string = properties.Runtime ?? properties.PackageType ?? 'none';
  const supported = /^nodejs\d+/.test(runtime);
  const folder = supported ? codeFolder(resource, context) : '';
  const handler: string = properties.Handler ?? '';
  if (supported) checkHandler(path, folder, handler);
  return {
    name: physicalId,
    arn,
    path,
    roleArn: properties.Role,
    runtime,
    handler,
    folder,
    timeoutSeconds: properties.Timeout ?? 3,
    memoryMb: properties.MemorySize ?? 128,
    environment: properties.Environment?.Variables ?? {},
    ...(properties.KmsKeyArn && { kmsKey: properties.KmsKeyArn }),
    ...(properties.ReservedConcurrentExecutions !== undefined && {
      reserved: Number(properties.ReservedConcurrentExecutions),
    }),
    ...(properties.DeadLetterConfig?.TargetArn && { deadLetterArn: properties.DeadLetterConfig.TargetArn }),
    ...(!supported && {
      unsupported: `the local engine runs Node.js functions alone, this one's runtime is ${runtime}`,
    }),
  };
}

function codeFolder({ properties, path, physicalId }: Resource, context: Context): string {
  const { S3Bucket, S3Key, ZipFile } = properties.Code ?? {};
  if (typeof ZipFile === 'string') {
    const folder = join(context.stateDir, 'lambda', 'inline', physicalId);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, 'index.js'), ZipFile);
    return folder;
  }
  const folder = context.asset(String(S3Bucket), String(S3Key));
  if (folder === undefined) {
    throw new Error(`function ${path}: its code, ${S3Bucket}/${S3Key}, is none of the assembly's assets`);
  }
  if (!existsSync(folder)) throw new Error(`function ${path}: its code is missing at ${folder}. Run cdk synth.`);
  if (!statSync(folder).isDirectory()) {
    throw new Error(`function ${path}: its code is the file ${folder}; the local engine runs code from a folder`);
  }
  return folder;
}

function checkHandler(path: string, folder: string, handler: string): void {
  const module = handler.slice(0, handler.indexOf('.', handler.lastIndexOf('/') + 1));
  const files = ['.mjs', '.js', '.cjs'].map((end) => module + end);
  if (module === '' || !files.some((file) => existsSync(join(folder, file)))) {
    throw new Error(
      `function ${path}: its handler '${handler}' needs one of ${files.join(', ')} in ${folder}, and none is there. Was the app synthesized without its bundles (cdk ls and cdk diff do that)? Run cdk synth.`,
    );
  }
}
