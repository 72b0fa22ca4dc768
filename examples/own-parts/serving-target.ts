import { Duration } from 'aws-cdk-lib';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import type { IServingTarget, ServingTargetConfig, ServingTargetOptions } from 'cdk-perennial';
import { Construct } from 'constructs';

/** Copies a version's archive to where it serves, says whether it is there, and brings back the one before. */
const CODE = `
const { S3Client, CopyObjectCommand, DeleteObjectCommand, HeadObjectCommand } = require('@aws-sdk/client-s3');
const s3 = new S3Client();
const [Bucket, Key] = [process.env.BUCKET, process.env.KEY];
const head = () =>
  s3.send(new HeadObjectCommand({ Bucket, Key })).catch((error) => {
    if (error.name === 'NotFound') return {};
    throw error;
  });
exports.handler = async ({ action, archive, version, before }) => {
  if (action === 'copy') {
    const { VersionId } = await head();
    const CopySource = encodeURI(archive.uri.slice('s3://'.length)) + '?versionId=' + archive.versionId;
    const Metadata = { version: String(version) };
    await s3.send(new CopyObjectCommand({ Bucket, Key, CopySource, Metadata, MetadataDirective: 'REPLACE' }));
    return { before: VersionId ?? '' };
  }
  if (action === 'ask') {
    const { Metadata } = await head();
    if (Metadata?.version !== String(version)) throw new Error('version ' + version + ' must serve, got ' + Metadata?.version);
    return {};
  }
  if (before === '') await s3.send(new DeleteObjectCommand({ Bucket, Key }));
  else {
    const CopySource = encodeURI(Bucket + '/' + Key) + '?versionId=' + before;
    await s3.send(new CopyObjectCommand({ Bucket, Key, CopySource }));
  }
  return {};
};
`;

/** Properties of an {@link ArchiveTarget}. */
export interface ArchiveTargetProps {
  /** The versioned bucket that machines at the edge fetch their model from. */
  readonly bucket: s3.IBucket;

  /** The name under which it serves: the archive is `<name>/model.tar.gz`. */
  readonly name: string;
}

/** Serves on machines at the edge, which fetch the archive of the approved version from a bucket. */
export class ArchiveTarget implements IServingTarget {
  constructor(private readonly props: ArchiveTargetProps) {}

  bind(scope: Construct, options: ServingTargetOptions): ServingTargetConfig {
    const { bucket, name } = this.props;
    const key = `${name}/model.tar.gz`;
    const copier = new lambda.Function(scope, 'Copier', {
      runtime: lambda.Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: lambda.Code.fromInline(CODE),
      timeout: Duration.minutes(1),
      environment: { BUCKET: bucket.bucketName, KEY: key },
    });
    options.dataset.bucket.grantRead(copier, 'runs/*');
    bucket.grantReadWrite(copier, key);
    bucket.grantDelete(copier, key);

    const states = new Construct(scope, 'ArchiveStates');
    const run = (id: string, payload: object, assign?: Record<string, unknown>) =>
      tasks.LambdaInvoke.jsonata(states, id, {
        lambdaFunction: copier,
        payload: sfn.TaskInput.fromObject({ ...payload, version: '{% $plan.version %}' }),
        assign,
      });
    const caught = { errors: ['States.ALL'], assign: options.caught };
    const smokeTest = run('Is the archive there?', { action: 'ask' });
    const copy = run(
      'Copy the archive',
      { action: 'copy', archive: '{% $plan.archive %}' },
      { before: '{% $states.result.Payload.before %}' },
    );
    const undo = run('Bring back the archive before', { action: 'undo', before: '{% $before %}' });
    return {
      name,
      make: copy.addCatch(options.failed, caught).next(smokeTest),
      smokeTest,
      undo: undo.addCatch(options.failed, caught).next(options.rolledBack),
    };
  }
}
