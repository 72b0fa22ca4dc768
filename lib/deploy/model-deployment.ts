import { type CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as kms from 'aws-cdk-lib/aws-kms';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as scheduler from 'aws-cdk-lib/aws-scheduler';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import { Construct } from 'constructs';
import type {
  DeploymentOutcome,
  DeploymentPlan,
  FinishDeploymentRequest,
  PlanDeploymentRequest,
  ServingSettings,
} from '../core/deploy/documents';
import { ErrorName } from '../core/errors';
import { EnvName, ownPrefix, Prefix, VARIANT_NAME } from '../core/names';
import type { Owner } from '../core/ownership';
import type { IDataset } from '../dataset/dataset';
import { TriggerQueue } from '../dataset/trigger-queue';
import type { IRunLedger } from '../ledger/run-ledger';
import { RUN_ID, STARTED_AT } from '../machine/expressions';
import { expression, jsonata, literal, object } from '../machine/jsonata';
import { machineLog } from '../machine/machine-log';
import { mostPolls, untilNextPoll } from '../machine/poll';
import { LONGEST_QUOTA_WAIT } from '../machine/retries';
import { callSageMaker, invoke, orFail } from '../machine/state-parts';
import { deadLetterAlarm, failedExecutionAlarm } from '../private/alarms';
import { cleanUpAfter, stopFeedingBefore } from '../private/clean-up';
import { allowContainer } from '../private/container-role';
import {
  allowEvents,
  grantList,
  grantObjects,
  grantSageMaker,
  listOf,
  sageMakerArn,
  sageMakerPrincipal,
} from '../private/grants';
import { Handler } from '../private/handler';
import { diskKey, keyOf } from '../private/keys';
import { onOwn } from '../private/owner-tags';
import { reconcileMistake, reconcileSchedule } from '../private/reconcile';
import { QueueTarget } from '../private/targets';
import { claim } from '../private/two-of-a-kind';
import { instanceTypeMistake, noCount, outside, refuse } from '../private/validate';
import type { IModelRegistry } from '../registry/model-registry';
import { xgboostRepository } from '../train/images';
import { configurationOf, serve } from './serve';
import { verify } from './verify';

/** Properties of a {@link ModelDeployment}. */
export interface ModelDeploymentProps {
  /** Where the models are, and captured requests are written. */
  readonly dataset: IDataset;

  /** Where every deployment is recorded. */
  readonly ledger: IRunLedger;

  /** Whose approved versions are deployed. */
  readonly registry: IModelRegistry;

  /** The pipeline's name in the ledger, in events and in tags. */
  readonly pipelineName: string;

  /**
   * The pipeline whose versions are deployed; a registry may hold those of several.
   *
   * @default - `pipelineName`
   */
  readonly versionsOf?: string;

  /**
   * The ARN of the repository that the models' image comes from, e.g. `TrainingPipeline.imageRepositoryArn`.
   *
   * @default - the repository of SageMaker's XGBoost image in the stack's region
   */
  readonly imageRepositoryArn?: string;

  /**
   * The endpoint's name, which clients use and which never changes: 1 to 40 lower-case letters, digits and inner hyphens.
   *
   * @default - the pipeline's name
   */
  readonly endpointName?: string;

  /**
   * The instance that serves.
   *
   * @default 'ml.m5.large'
   */
  readonly instanceType?: string;

  /**
   * How many instances serve. From two on, a new model first gets a part of the traffic.
   *
   * @default 1
   */
  readonly instanceCount?: number;

  /**
   * The share of requests that is captured for the monitor, in per cent, 0 to 100.
   *
   * @default 100
   */
  readonly capturePercent?: number;

  /**
   * The 99th percentile of the model's latency from which a deployment is rolled back.
   *
   * @default Duration.seconds(1)
   */
  readonly maxLatency?: Duration;

  /**
   * How long alarms are watched before a new model has all the traffic, 0 to 60 minutes.
   *
   * @default Duration.minutes(5)
   */
  readonly bakeTime?: Duration;

  /**
   * How long instances are waited for that a full quota or a lack of capacity refuses, 0 to 4 hours; a new model
   * needs as many as serve already beside those. Then the version stays approved, and can be approved again.
   *
   * @default Duration.hours(1)
   */
  readonly quotaWait?: Duration;

  /**
   * How often it is looked for what no event has told of, events being best effort: an approval, and a deployment that
   * has ended. 1 minute to 1 day.
   *
   * @default Duration.hours(1)
   */
  readonly reconcileEvery?: Duration;

  /**
   * The key of yours that encrypts queues, logs, the functions' environments and the disks of the instances that serve.
   * Instances with a local drive encrypt it by themselves and take no key; what is captured is under the bucket's key.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: kms.IKey;
}

/** The longest that a change is waited for that was under way before. */
const LONGEST_CHANGE_HOURS = 4;

/**
 * Brings approved models into service, and proves that they are.
 *
 * Defines the deployment machine, which makes model, configuration and endpoint under names made from the
 * version; the queue and function that start it once an approval; alarms on the endpoint that roll a bad
 * update back; and what empties SageMaker of all this when the stack is deleted.
 */
export class ModelDeployment extends Construct {
  /** The endpoint's name. */
  public readonly endpointName: string;

  /** The deployment machine. */
  public readonly machine: sfn.StateMachine;

  /** The role under which models serve. */
  public readonly servingRole: iam.Role;

  /** The queue of approvals. */
  public readonly queue: sqs.Queue;

  /** Where approvals go that could not be handled. */
  public readonly deadLetterQueue: sqs.Queue;

  /** The function that starts a deployment an approval. */
  public readonly starter: lambda.Function;

  /** The function that decides what to make. */
  public readonly plan: lambda.Function;

  /** The function that asks the new endpoint. */
  public readonly smokeTest: lambda.Function;

  /** The function that records the end. */
  public readonly finish: lambda.Function;

  /** Looks for what no event has told of. */
  public readonly reconcile: scheduler.Schedule;

  /** The rule on approvals. */
  public readonly approvals: events.Rule;

  /** Fires when an approval could not be handled. */
  public readonly lostApprovalAlarm: cloudwatch.Alarm;

  /** Fires when a deployment fails, is rolled back or runs out of time. */
  public readonly failedDeploymentAlarm: cloudwatch.Alarm;

  /** Fires when the endpoint answers with server errors. */
  public readonly errorAlarm: cloudwatch.Alarm;

  /** Fires when the endpoint answers slowly. */
  public readonly latencyAlarm: cloudwatch.Alarm;

  /** What takes endpoint, configurations and models away when the stack is deleted, or the endpoint's name changes. */
  public readonly cleanUp: CustomResource;

  private readonly props: ModelDeploymentProps;
  private readonly owner: Owner;
  private readonly machineName: string;
  private readonly serving: ServingSettings;

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    const { ledger, registry } = props;
    const data = props.dataset.bucket;
    const stack = Stack.of(this);
    this.props = props;
    this.serving = {
      instanceType: props.instanceType ?? 'ml.m5.large',
      instanceCount: props.instanceCount ?? 1,
      capturePercent: props.capturePercent ?? 100,
    };
    const encryptionKey = keyOf(this, props.encryptionKey);
    const maxLatency = props.maxLatency ?? Duration.seconds(1);
    const bakeTime = props.bakeTime ?? Duration.minutes(5);
    const reconcileEvery = props.reconcileEvery ?? Duration.hours(1);
    const quotaWait = props.quotaWait ?? Duration.hours(1);
    this.endpointName = props.endpointName ?? props.pipelineName;
    refuse(this, [
      claim(this, 'endpointName of a ModelDeployment', this.endpointName),
      claim(this, 'pipelineName of a ModelDeployment', props.pipelineName),
      !/^[a-z0-9](-*[a-z0-9]){0,39}$/.test(this.endpointName) &&
        `endpointName must be 1 to 40 lower-case letters, digits and inner hyphens, got '${this.endpointName}'`,
      instanceTypeMistake('instanceType', this.serving.instanceType),
      noCount(this.serving.instanceCount, 1, 1000) &&
        `instanceCount must be a whole number from 1 to 1000, got ${props.instanceCount}`,
      outside(this.serving.capturePercent, 0, 100) && `capturePercent must be 0 to 100, got ${props.capturePercent}`,
      outside(bakeTime.toSeconds(), 0, 3600) && `bakeTime must be 0 to 60 minutes, got ${bakeTime.toHumanString()}`,
      reconcileMistake(reconcileEvery),
      outside(quotaWait.toSeconds(), 0, LONGEST_QUOTA_WAIT.toSeconds()) &&
        `quotaWait must be 0 to 4 hours, got ${quotaWait.toHumanString()}`,
    ]);

    this.servingRole = new iam.Role(this, 'ServingRole', {
      description: `Models that serve on ${this.endpointName}`,
      assumedBy: sageMakerPrincipal(stack),
    });
    grantObjects(this.servingRole, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);
    grantObjects(this.servingRole, data, ['s3:PutObject'], [Prefix.CAPTURE]);
    allowContainer(this.servingRole, [props.imageRepositoryArn ?? xgboostRepository(this)]);

    const metric = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: 'AWS/SageMaker',
        metricName,
        statistic,
        period: Duration.minutes(1),
        dimensionsMap: { EndpointName: this.endpointName, VariantName: VARIANT_NAME },
      });
    this.errorAlarm = new cloudwatch.Alarm(this, 'ErrorAlarm', {
      alarmDescription: `${this.endpointName} answers with server errors. What to do: lib/RUNBOOK.md, ErrorAlarm`,
      metric: metric('Invocation5XXErrors', cloudwatch.Stats.SUM),
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    this.latencyAlarm = new cloudwatch.Alarm(this, 'LatencyAlarm', {
      alarmDescription: `${this.endpointName} answers slowly. What to do: lib/RUNBOOK.md, LatencyAlarm`,
      metric: metric('ModelLatency', cloudwatch.Stats.percentile(99)),
      threshold: maxLatency.toMilliseconds() * 1000, // SageMaker measures in microseconds
      evaluationPeriods: 3,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });

    const ledgerEnvironment = {
      [EnvName.LEDGER_TABLE]: ledger.table.tableName,
      [EnvName.PIPELINE]: props.pipelineName,
    };
    this.owner = { pipeline: props.pipelineName, registry: registry.groupName };
    const { owner } = this;
    const packages = `model-package/${registry.groupName}/*`;
    const own = `${ownPrefix(this.endpointName, registry.groupName)}v*`;
    const inSageMaker = (resource: string) => sageMakerArn(stack, resource);

    const plan = new Handler(this, 'Plan', {
      bundle: 'plan-deployment',
      description: 'Decides what a deployment has to make (lambdas/deploy/plan-deployment.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: {},
    });
    this.plan = plan.function;
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeModelPackage'], [packages]);
    grantObjects(plan.role, data, ['s3:GetObject'], [`${Prefix.RUNS}*/sealed/`]);
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeEndpoint'], [`endpoint/${this.endpointName}`]);
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeEndpointConfig'], [`endpoint-config/${own}`]);
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeModel'], [`model/${own}`]);
    grantSageMaker(
      plan.role,
      stack,
      ['sagemaker:ListTags'],
      [`endpoint/${this.endpointName}`, `endpoint-config/${own}`, `model/${own}`],
    );

    const smokeTest = new Handler(this, 'SmokeTest', {
      bundle: 'smoke-test',
      description: 'Asks the endpoint about rows whose answers are known (lambdas/deploy/smoke-test.handler.ts)',
      timeout: Duration.minutes(2),
      memorySize: 256,
      encryptionKey,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName },
    });
    this.smokeTest = smokeTest.function;
    grantObjects(smokeTest.role, data, ['s3:GetObject'], [Prefix.RUNS]);
    grantList(smokeTest.role, data, [Prefix.RUNS]); // else a missing key answers 403
    grantSageMaker(smokeTest.role, stack, ['sagemaker:InvokeEndpoint'], [`endpoint/${this.endpointName}`]);

    const finish = new Handler(this, 'Finish', {
      bundle: 'finish-deployment',
      description:
        'Records the end of a deployment and clears what is out of use (lambdas/deploy/finish-deployment.handler.ts)',
      timeout: Duration.minutes(2),
      memorySize: 256,
      encryptionKey,
      environment: {
        ...ledgerEnvironment,
        [EnvName.ENDPOINT_NAME]: this.endpointName,
        [EnvName.MODEL_PACKAGE_GROUP]: registry.groupName,
      },
    });
    this.finish = finish.function;
    ledger.grantLease(finish.role, props.pipelineName);
    grantSageMaker(finish.role, stack, ['sagemaker:UpdateModelPackage'], [packages]);
    grantSageMaker(finish.role, stack, ['sagemaker:DescribeEndpoint'], [`endpoint/${this.endpointName}`]);
    grantSageMaker(finish.role, stack, ['sagemaker:ListTags'], [`endpoint-config/${own}`, `model/${own}`]);
    finish.role.addToPolicy(onOwn(owner, ['sagemaker:DeleteEndpointConfig'], [inSageMaker(`endpoint-config/${own}`)]));
    finish.role.addToPolicy(onOwn(owner, ['sagemaker:DeleteModel'], [inSageMaker(`model/${own}`)]));
    finish.role.addToPolicy(listOf('sagemaker:ListEndpointConfigs', 'sagemaker:ListModels'));
    allowEvents(finish.role);

    this.machineName = `${this.endpointName}-deployment`;
    this.machine = new sfn.StateMachine(this, 'Machine', {
      // fixed, so that CloudFormation refuses a second deployment to this endpoint
      stateMachineName: this.machineName,
      comment: `Deploys approved models of ${props.pipelineName} to ${this.endpointName}`,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(this.definition(bakeTime, quotaWait, encryptionKey)),
      timeout: Duration.days(1),
      tracingEnabled: true,
      logs: {
        destination: machineLog(this, 'MachineLog', encryptionKey),
        level: sfn.LogLevel.ALL,
        includeExecutionData: true,
      },
    });

    const starter = new Handler(this, 'Starter', {
      bundle: 'start-deployment',
      description: 'Starts one deployment an approval (lambdas/deploy/start-deployment.handler.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      encryptionKey,
      environment: {
        ...ledgerEnvironment,
        [EnvName.ENDPOINT_NAME]: this.endpointName,
        [EnvName.VERSIONS_OF]: props.versionsOf ?? props.pipelineName,
        [EnvName.DEPLOYMENT_MACHINE]: this.machine.stateMachineArn,
        [EnvName.MODEL_PACKAGE_GROUP]: registry.groupName,
      },
    });
    this.starter = starter.function;
    ledger.grantRead(starter.role, props.pipelineName);
    ledger.grantLease(starter.role, props.pipelineName);
    grantSageMaker(starter.role, stack, ['sagemaker:DescribeModelPackage'], [packages]);
    starter.role.addToPolicy(listOf('sagemaker:ListModelPackages'));
    this.machine.grantStartExecution(starter.role);
    this.machine.grantExecution(starter.role, 'states:DescribeExecution');
    this.machine.grant(starter.role, 'states:ListExecutions');

    const { queue, deadLetterQueue } = new TriggerQueue(this, 'Approvals', {
      handler: this.starter,
      batchingWindow: Duration.seconds(5),
      encryptionKey,
    });
    this.queue = queue;
    this.deadLetterQueue = deadLetterQueue;
    this.lostApprovalAlarm = deadLetterAlarm(
      this,
      'LostApprovalAlarm',
      deadLetterQueue,
      `An approval of ${props.pipelineName} could not be handled`,
    );
    this.failedDeploymentAlarm = failedExecutionAlarm(
      this,
      'FailedDeploymentAlarm',
      this.machine,
      `A deployment to ${this.endpointName} failed, was rolled back or ran out of time; 'perennial served' tells why`,
    );
    const target = new QueueTarget(queue, deadLetterQueue);
    // An update of anything but the approval is sent again with the status Approved: it must not deploy again.
    this.approvals = new events.Rule(this, 'Approval', {
      description: 'An approval starts a deployment',
      eventPattern: {
        source: ['aws.sagemaker'],
        detailType: ['SageMaker Model Package State Change'],
        detail: {
          ModelPackageGroupName: [registry.groupName],
          ModelApprovalStatus: ['Approved'],
          $or: [
            { UpdatedModelPackageFields: ['ModelApprovalStatus'] },
            { UpdatedModelPackageFields: [{ exists: false }] },
          ],
        },
      },
      targets: [target],
    });
    new events.Rule(this, 'Ended', {
      description: 'The end of a deployment lets the next one begin',
      eventPattern: {
        source: ['aws.states'],
        detailType: ['Step Functions Execution Status Change'],
        detail: {
          stateMachineArn: [this.machine.stateMachineArn],
          status: ['SUCCEEDED', 'FAILED', 'TIMED_OUT', 'ABORTED'],
        },
      },
      targets: [target],
    });
    this.reconcile = reconcileSchedule(this, {
      scheduleName: `${this.endpointName}-deployment`,
      pipelineName: props.pipelineName,
      every: reconcileEvery,
      queue,
      deadLetterQueue,
    });

    this.cleanUp = cleanUpAfter(
      this,
      {
        What: 'deployment',
        Endpoint: this.endpointName,
        Pipeline: props.pipelineName,
        Registry: registry.groupName,
        Machine: this.machine.stateMachineArn,
      },
      {
        machineName: this.machineName,
        ledger,
        writesTo: [props.dataset, registry],
        before: [this.servingRole], // SageMaker deletes an endpoint with the endpoint's own role
        encryptionKey,
      },
    );
    stopFeedingBefore(this.cleanUp, this.starter);
  }

  private definition(bakeTime: Duration, quotaWait: Duration, encryptionKey: kms.IKey | undefined): sfn.IChainable {
    const { endpointName, owner, serving } = this;
    const states = new Construct(this, 'States'); // a scope of their own: their names are what the console shows
    const finishAs = (id: string, outcome: DeploymentOutcome) =>
      invoke<FinishDeploymentRequest, void>(
        states,
        id,
        this.finish,
        jsonata(
          object<FinishDeploymentRequest>(
            {
              deploymentId: RUN_ID,
              startedAt: STARTED_AT,
              outcome: literal(outcome),
              modelPackageArn: expression('$modelPackageArn'),
            },
            { plan: expression('$plan'), error: expression('$failure') },
          ),
        ),
      );
    const fail = sfn.Fail.jsonata(states, 'Deployment failed', {
      error: jsonata('$failure.name'),
      cause: jsonata('$failure.cause'),
    });
    const failed = finishAs('Record failure', 'FAILED').next(fail);
    const rolledBack = finishAs('Record rollback', 'ROLLED_BACK').next(fail);
    const skipped = finishAs('Record skip', 'SKIPPED').next(
      sfn.Succeed.jsonata(states, 'Nothing to do', { outputs: { version: jsonata('$plan.version') } }),
    );
    const deployed = finishAs('Record deployment', 'DEPLOYED').next(
      sfn.Succeed.jsonata(states, 'In service', {
        outputs: { endpointName, version: jsonata('$plan.version'), modelPackageArn: jsonata('$modelPackageArn') },
      }),
    );

    const endpoint = {
      endpointName,
      owner,
      serving,
      bakeTime,
      quotaWait,
      alarms: [this.errorAlarm, this.latencyAlarm],
    };
    const { dataset, pipelineName, versionsOf } = this.props;
    const disk = diskKey(serving.instanceType, encryptionKey);
    const configuration = configurationOf(serving, dataset.bucket, disk);
    const later = sfn.Wait.jsonata(states, 'Wait for a change to end', untilNextPoll());
    const changing = verify(states, {
      ...endpoint,
      smokeTest: this.smokeTest,
      deployed,
      planAgain: later,
      rolledBack,
      failed,
    });
    const make = serve(states, {
      ...endpoint,
      role: this.servingRole,
      configuration,
      diskKey: disk,
      changing,
      planAgain: later,
      failed,
    });

    const plan = invoke<PlanDeploymentRequest, DeploymentPlan, { plan: DeploymentPlan }>(
      states,
      'Plan',
      this.plan,
      {
        modelPackageArn: jsonata(expression<string>('$modelPackageArn')),
        endpointName,
        owner,
        versionsOf: versionsOf ?? pipelineName,
        configuration,
        servingRole: this.servingRole.roleArn,
      },
      (plan) => ({ plan: jsonata(plan) }),
    );
    const remove = callSageMaker(states, 'Delete failed endpoint', {
      action: 'deleteEndpoint',
      own: { owner, resources: [sageMakerArn(Stack.of(this), `endpoint/${endpointName}`)] },
      parameters: { EndpointName: endpointName },
    });
    const busy = sfn.Pass.jsonata(states, 'Changes without end', {
      assign: {
        failure: {
          name: ErrorName.DEPLOYMENT_FAILED,
          cause: `the endpoint ${endpointName} must have stopped changing within ${LONGEST_CHANGE_HOURS} hours, but goes on; look at it, and approve the version again`,
        },
      },
    });
    const action = sfn.Choice.jsonata(states, 'What is to be done?')
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'none'")), skipped)
      .when(sfn.Condition.jsonata(jsonata(`$polls > ${mostPolls(LONGEST_CHANGE_HOURS)}`)), busy.next(failed))
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'wait'")), later)
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'recreate'")), orFail(remove, failed).next(later))
      .otherwise(make);
    later.next(plan);
    return sfn.Pass.jsonata(states, 'Approved', {
      assign: {
        modelPackageArn: jsonata('$states.input.modelPackageArn'),
        plan: null,
        failure: null,
        polls: 0,
        looks: 0,
        waits: 0,
      },
    })
      .next(orFail(plan, failed))
      .next(action);
  }
}
