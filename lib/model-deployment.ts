import { CustomResource, Duration, Stack } from 'aws-cdk-lib';
import * as cloudwatch from 'aws-cdk-lib/aws-cloudwatch';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type * as lambda from 'aws-cdk-lib/aws-lambda';
import type * as s3 from 'aws-cdk-lib/aws-s3';
import * as scheduler from 'aws-cdk-lib/aws-scheduler';
import * as schedulerTargets from 'aws-cdk-lib/aws-scheduler-targets';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import * as sfn from 'aws-cdk-lib/aws-stepfunctions';
import type * as tasks from 'aws-cdk-lib/aws-stepfunctions-tasks';
import { Construct } from 'constructs';
import type { DeploymentOutcome, ServingSettings } from './core/documents';
import { ErrorName } from './core/errors';
import { EnvName, Prefix, VARIANT_NAME } from './core/names';
import type { ModelRegistry } from './model-registry';
import { allowContainer } from './private/container-role';
import {
  grantList,
  grantObjects,
  grantSageMaker,
  passRoleToSageMaker,
  sageMakerArn,
  sageMakerPrincipal,
} from './private/grants';
import { Handler } from './private/handler';
import { machineLog } from './private/machine-log';
import { scheduleInput } from './private/schedule-input';
import { callSageMaker, invoke } from './private/state-parts';
import { TriggerQueue } from './private/trigger-queue';
import { outside, refuse } from './private/validate';
import type { RunLedger } from './run-ledger';
import { CAUGHT, jsonata, RUN_ID, STARTED_AT } from './steps/expressions';

/** Properties of a {@link ModelDeployment}. */
export interface ModelDeploymentProps {
  /** The bucket with the models; captured requests are written below `capture/`. */
  readonly data: s3.IBucket;

  /** Where every deployment is recorded. */
  readonly ledger: RunLedger;

  /** Whose approved versions are deployed. */
  readonly registry: ModelRegistry;

  /** The pipeline's name in the ledger and in events. */
  readonly pipelineName: string;

  /**
   * The ARN of the repository that the models' image comes from.
   *
   * @default - any repository of any account
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
   * How often an approval is looked for that no event has told of; events are best effort.
   *
   * @default Duration.hours(1)
   */
  readonly reconcileEvery?: Duration;
}

/** Seconds between two looks at a changing endpoint. */
const POLL_SECONDS = 30;

/** Looks at a changing endpoint before it is given up: 8 hours, the longest update that SageMaker allows. */
const MAX_POLLS = (8 * 3600) / POLL_SECONDS;

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

  /** Looks for approvals that no event has told of. */
  public readonly reconcile: scheduler.Schedule;

  /** The rule on approvals. */
  public readonly approvals: events.Rule;

  /** Fires when the endpoint answers with server errors. */
  public readonly errorAlarm: cloudwatch.Alarm;

  /** Fires when the endpoint answers slowly. */
  public readonly latencyAlarm: cloudwatch.Alarm;

  /** What removes endpoint, configurations and models when the stack is deleted. */
  public readonly cleanUp: CustomResource;

  private readonly props: ModelDeploymentProps;
  /** Scope of the states, whose names are what the console shows. */
  private readonly states: Construct;
  private readonly serving: ServingSettings;

  constructor(scope: Construct, id: string, props: ModelDeploymentProps) {
    super(scope, id);
    const { data, ledger, registry } = props;
    const stack = Stack.of(this);
    this.props = props;
    this.states = new Construct(this, 'States');
    this.serving = {
      instanceType: props.instanceType ?? 'ml.m5.large',
      instanceCount: props.instanceCount ?? 1,
      capturePercent: props.capturePercent ?? 100,
    };
    const maxLatency = props.maxLatency ?? Duration.seconds(1);
    const bakeTime = props.bakeTime ?? Duration.minutes(5);
    this.endpointName = props.endpointName ?? props.pipelineName;
    refuse(this, [
      !/^[a-z0-9](-*[a-z0-9]){0,39}$/.test(this.endpointName) &&
        `endpointName must be 1 to 40 lower-case letters, digits and inner hyphens, got '${this.endpointName}'`,
      !/^ml\.[a-z0-9-]+\.[a-z0-9]+$/.test(this.serving.instanceType) &&
        `instanceType must look like ml.m5.large, got '${this.serving.instanceType}'`,
      outside(this.serving.instanceCount, 1, 1000) && `instanceCount must be 1 to 1000, got ${props.instanceCount}`,
      outside(this.serving.capturePercent, 0, 100) && `capturePercent must be 0 to 100, got ${props.capturePercent}`,
      outside(bakeTime.toSeconds(), 0, 3600) && `bakeTime must be 0 to 60 minutes, got ${bakeTime.toHumanString()}`,
    ]);

    this.servingRole = new iam.Role(this, 'ServingRole', {
      description: `Models that serve on ${this.endpointName}`,
      assumedBy: sageMakerPrincipal(stack),
    });
    grantObjects(this.servingRole, data, ['s3:GetObject'], [`${Prefix.RUNS}*/models/`]);
    grantObjects(this.servingRole, data, ['s3:PutObject'], [Prefix.CAPTURE]);
    allowContainer(this.servingRole, props.imageRepositoryArn ?? `arn:${stack.partition}:ecr:*:*:repository/*`);

    const metric = (metricName: string, statistic: string) =>
      new cloudwatch.Metric({
        namespace: 'AWS/SageMaker',
        metricName,
        statistic,
        period: Duration.minutes(1),
        dimensionsMap: { EndpointName: this.endpointName, VariantName: VARIANT_NAME },
      });
    this.errorAlarm = new cloudwatch.Alarm(this, 'ErrorAlarm', {
      alarmDescription: `${this.endpointName} answers with server errors`,
      metric: metric('Invocation5XXErrors', cloudwatch.Stats.SUM),
      threshold: 1,
      evaluationPeriods: 1,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });
    this.latencyAlarm = new cloudwatch.Alarm(this, 'LatencyAlarm', {
      alarmDescription: `${this.endpointName} answers slowly`,
      metric: metric('ModelLatency', cloudwatch.Stats.percentile(99)),
      threshold: maxLatency.toMilliseconds() * 1000, // SageMaker measures in microseconds
      evaluationPeriods: 3,
      treatMissingData: cloudwatch.TreatMissingData.NOT_BREACHING,
    });

    const ledgerEnvironment = {
      [EnvName.LEDGER_TABLE]: ledger.table.tableName,
      [EnvName.PIPELINE]: props.pipelineName,
    };
    const packages = `model-package/${registry.groupName}/*`;

    const plan = new Handler(this, 'Plan', {
      bundle: 'plan-deployment',
      description: 'Decides what a deployment has to make (lambdas/plan-deployment.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      environment: {},
    });
    this.plan = plan.function;
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeModelPackage'], [packages]);
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeEndpoint'], [`endpoint/${this.endpointName}`]);
    grantSageMaker(plan.role, stack, ['sagemaker:DescribeEndpointConfig'], [`endpoint-config/${this.endpointName}-v*`]);

    const smokeTest = new Handler(this, 'SmokeTest', {
      bundle: 'smoke-test',
      description: 'Asks the endpoint about rows whose answers are known (lambdas/smoke-test.ts)',
      timeout: Duration.minutes(2),
      memorySize: 256,
      environment: { [EnvName.DATA_BUCKET]: data.bucketName },
    });
    this.smokeTest = smokeTest.function;
    grantObjects(smokeTest.role, data, ['s3:GetObject'], [Prefix.RUNS]);
    grantList(smokeTest.role, data, [Prefix.RUNS]); // else a missing key answers 403
    grantSageMaker(smokeTest.role, stack, ['sagemaker:InvokeEndpoint'], [`endpoint/${this.endpointName}`]);

    const finish = new Handler(this, 'Finish', {
      bundle: 'finish-deployment',
      description: 'Records the end of a deployment and clears what is out of use (lambdas/finish-deployment.ts)',
      timeout: Duration.minutes(2),
      memorySize: 256,
      environment: { ...ledgerEnvironment, [EnvName.ENDPOINT_NAME]: this.endpointName },
    });
    this.finish = finish.function;
    ledger.grantLease(finish.role);
    grantSageMaker(finish.role, stack, ['sagemaker:UpdateModelPackage'], [packages]);
    grantSageMaker(finish.role, stack, ['sagemaker:DescribeEndpoint'], [`endpoint/${this.endpointName}`]);
    grantSageMaker(finish.role, stack, ['sagemaker:DeleteEndpointConfig'], [`endpoint-config/${this.endpointName}-v*`]);
    grantSageMaker(finish.role, stack, ['sagemaker:DeleteModel'], [`model/${this.endpointName}-v*`]);
    finish.role.addToPolicy(listOf('sagemaker:ListEndpointConfigs', 'sagemaker:ListModels'));
    finish.role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['events:PutEvents'],
        resources: [stack.formatArn({ service: 'events', resource: 'event-bus', resourceName: 'default' })],
      }),
    );

    this.machine = new sfn.StateMachine(this, 'Machine', {
      comment: `Deploys approved models of ${props.pipelineName} to ${this.endpointName}`,
      queryLanguage: sfn.QueryLanguage.JSONATA,
      definitionBody: sfn.DefinitionBody.fromChainable(this.definition(bakeTime)),
      timeout: Duration.days(1),
      tracingEnabled: true,
      logs: { destination: machineLog(this, 'MachineLog'), level: sfn.LogLevel.ALL, includeExecutionData: true },
    });

    const starter = new Handler(this, 'Starter', {
      bundle: 'start-deployment',
      description: 'Starts one deployment an approval (lambdas/start-deployment.ts)',
      timeout: Duration.minutes(1),
      memorySize: 256,
      environment: {
        ...ledgerEnvironment,
        [EnvName.DEPLOYMENT_MACHINE]: this.machine.stateMachineArn,
        [EnvName.MODEL_PACKAGE_GROUP]: registry.groupName,
      },
    });
    this.starter = starter.function;
    ledger.grantQuery(starter.role);
    ledger.grantLease(starter.role);
    grantSageMaker(starter.role, stack, ['sagemaker:DescribeModelPackage'], [packages]);
    starter.role.addToPolicy(listOf('sagemaker:ListModelPackages'));
    this.machine.grantStartExecution(starter.role);

    const { queue, deadLetterQueue } = new TriggerQueue(this, 'Approvals', {
      handler: this.starter,
      batchingWindow: Duration.seconds(5),
    });
    this.queue = queue;
    this.deadLetterQueue = deadLetterQueue;
    const target = new targets.SqsQueue(queue, { deadLetterQueue });
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
    this.reconcile = new scheduler.Schedule(this, 'Reconcile', {
      description: 'Looks for approvals that no event has told of',
      schedule: scheduler.ScheduleExpression.rate(props.reconcileEvery ?? Duration.hours(1)),
      target: new schedulerTargets.SqsSendMessage(queue, { deadLetterQueue, input: scheduleInput(props.pipelineName) }),
    });

    this.cleanUp = this.emptyOnDelete();
  }

  private definition(bakeTime: Duration): sfn.IChainable {
    const stack = Stack.of(this);
    const endpoint = sageMakerArn(stack, `endpoint/${this.endpointName}`);
    const configs = sageMakerArn(stack, `endpoint-config/${this.endpointName}-v*`);
    const models = sageMakerArn(stack, `model/${this.endpointName}-v*`);
    const finishAs = (id: string, outcome: DeploymentOutcome) =>
      invoke(
        this.states,
        id,
        this.finish,
        jsonata(
          `$merge([{'deploymentId': ${RUN_ID}, 'startedAt': ${STARTED_AT}, 'outcome': '${outcome}', ` +
            "'modelPackageArn': $modelPackageArn}, $plan ? {'plan': $plan} : {}, $failure ? {'error': $failure} : {}])",
        ),
      );
    const fail = sfn.Fail.jsonata(this.states, 'Deployment failed', {
      error: jsonata('$failure.name'),
      cause: jsonata('$failure.cause'),
    });
    const failed = finishAs('Record failure', 'FAILED');
    failed.next(fail);
    const orFail = <T extends sfn.TaskStateBase>(state: T): T => {
      state.addCatch(failed, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
      return state;
    };

    const plan = orFail(
      invoke(
        this.states,
        'Plan',
        this.plan,
        {
          modelPackageArn: jsonata('$states.input.modelPackageArn'),
          endpointName: this.endpointName,
          serving: this.serving,
        },
        { plan: jsonata('$states.result.Payload') },
      ),
    );

    const updateTo = (id: string, configName: string, traffic: object) =>
      callSageMaker(this.states, id, {
        action: 'updateEndpoint',
        resources: [endpoint, configs],
        statements: [
          new iam.PolicyStatement({
            actions: ['cloudwatch:DescribeAlarms'],
            resources: [this.errorAlarm.alarmArn, this.latencyAlarm.alarmArn],
          }),
        ],
        parameters: { EndpointName: this.endpointName, EndpointConfigName: jsonata(configName), ...traffic },
      });
    const create = callSageMaker(this.states, 'Create endpoint', {
      action: 'createEndpoint',
      resources: [endpoint, configs],
      parameters: { EndpointName: this.endpointName, EndpointConfigName: jsonata('$plan.endpointConfigName') },
    });
    const update = orFail(updateTo('Update endpoint', '$plan.endpointConfigName', this.traffic(bakeTime)));
    const remove = orFail(
      callSageMaker(this.states, 'Delete failed endpoint', {
        action: 'deleteEndpoint',
        resources: [endpoint],
        parameters: { EndpointName: this.endpointName },
      }),
    );
    const config = callSageMaker(this.states, 'Create endpoint configuration', {
      action: 'createEndpointConfig',
      resources: [configs, models],
      parameters: {
        EndpointConfigName: jsonata('$plan.endpointConfigName'),
        ProductionVariants: [
          {
            VariantName: VARIANT_NAME,
            ModelName: jsonata('$plan.modelName'),
            InstanceType: this.serving.instanceType,
            InitialInstanceCount: this.serving.instanceCount,
            InitialVariantWeight: 1,
          },
        ],
        DataCaptureConfig: {
          EnableCapture: this.serving.capturePercent > 0,
          InitialSamplingPercentage: this.serving.capturePercent,
          DestinationS3Uri: `s3://${this.props.data.bucketName}/${Prefix.CAPTURE.slice(0, -1)}`,
          CaptureOptions: [{ CaptureMode: 'Input' }, { CaptureMode: 'Output' }],
          // what is not named here is captured as base64
          CaptureContentTypeHeader: { CsvContentTypes: ['text/csv'] },
        },
      },
    });
    const model = callSageMaker(this.states, 'Create model', {
      action: 'createModel',
      resources: [models, sageMakerArn(stack, `model-package/${this.props.registry.groupName}/*`)],
      statements: [passRoleToSageMaker(this.servingRole)],
      parameters: {
        ModelName: jsonata('$plan.modelName'),
        ExecutionRoleArn: this.servingRole.roleArn,
        Containers: [{ ModelPackageName: jsonata('$modelPackageArn') }],
      },
    });

    // Forwards: wait for the endpoint, then believe only what it answers.
    const smoke = invoke(this.states, 'Smoke test', this.smokeTest, {
      endpointName: this.endpointName,
      runId: jsonata('$plan.runId'),
    });
    const deployed = finishAs('Record deployment', 'DEPLOYED');
    deployed.next(
      sfn.Succeed.jsonata(this.states, 'In service', {
        outputs: {
          endpointName: this.endpointName,
          version: jsonata('$plan.version'),
          modelPackageArn: jsonata('$modelPackageArn'),
        },
      }),
    );
    smoke.next(deployed);
    const skipped = finishAs('Record skip', 'SKIPPED');
    skipped.next(sfn.Succeed.jsonata(this.states, 'Nothing to do', { outputs: { version: jsonata('$plan.version') } }));

    const rolledBack = finishAs('Record rollback', 'ROLLED_BACK');
    rolledBack.next(fail);
    const silentRollback = sfn.Pass.jsonata(this.states, 'SageMaker rolled back', {
      assign: {
        failure: {
          name: ErrorName.DEPLOYMENT_FAILED,
          cause: jsonata(
            "'the endpoint serves ' & $states.input.EndpointConfigName & ' and not ' & $plan.endpointConfigName & " +
              "': the new model did not pass its health check, or an alarm fired. ' & " +
              "($exists($states.input.FailureReason) ? $states.input.FailureReason : 'SageMaker gives no reason; look at the log of the endpoint.')",
          ),
        },
      },
    });
    silentRollback.next(rolledBack);
    const broken = sfn.Pass.jsonata(this.states, 'Endpoint failed', {
      assign: {
        failure: {
          name: ErrorName.DEPLOYMENT_FAILED,
          cause: jsonata(
            "'the endpoint is ' & $states.input.EndpointStatus & ': ' & " +
              "($exists($states.input.FailureReason) ? $states.input.FailureReason : 'it did not come into service in time')",
          ),
        },
      },
    });
    broken.next(failed);

    const wait = this.waitFor('the new model', failed, (settled) =>
      settled
        .when(
          sfn.Condition.jsonata(
            jsonata(
              "$states.input.EndpointStatus = 'InService' and $states.input.EndpointConfigName = $plan.endpointConfigName",
            ),
          ),
          smoke,
        )
        .when(sfn.Condition.jsonata(jsonata("$states.input.EndpointStatus = 'InService'")), silentRollback)
        .otherwise(broken),
    );

    // Backwards: the smoke test failed, so the model before comes back; a first model is taken out of service.
    const undone = this.waitFor('the old model', failed, (settled) =>
      settled
        .when(
          sfn.Condition.jsonata(
            jsonata(
              "$states.input.EndpointStatus = 'InService' and $states.input.EndpointConfigName = $plan.previousConfigName",
            ),
          ),
          rolledBack,
        )
        .otherwise(failed),
    );
    const undo = orFail(
      updateTo('Bring back the model before', '$plan.previousConfigName', {
        DeploymentConfig: {
          BlueGreenUpdatePolicy: {
            TrafficRoutingConfiguration: { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: 0 },
            TerminationWaitInSeconds: 0,
          },
        },
      }),
    );
    undo.next(undone);
    const withdraw = orFail(
      callSageMaker(this.states, 'Take out of service', {
        action: 'deleteEndpoint',
        resources: [endpoint],
        parameters: { EndpointName: this.endpointName },
      }),
    );
    withdraw.next(rolledBack);
    smoke.addCatch(
      sfn.Choice.jsonata(this.states, 'Was there a model before?')
        .when(sfn.Condition.jsonata(jsonata('$exists($plan.previousConfigName)')), undo)
        .otherwise(withdraw),
      { errors: ['States.ALL'], assign: { failure: CAUGHT } },
    );

    this.makeOnce(create, wait, failed);
    update.next(wait);
    this.makeOnce(
      config,
      sfn.Choice.jsonata(this.states, 'Is there an endpoint?')
        .when(sfn.Condition.jsonata(jsonata("$plan.action = 'create'")), create)
        .otherwise(update),
      failed,
    );
    this.makeOnce(model, config, failed);

    const later = sfn.Wait.jsonata(this.states, 'Wait for a change to end', {
      time: sfn.WaitTime.duration(Duration.seconds(POLL_SECONDS)),
    });
    later.next(plan);
    remove.next(later);
    const action = sfn.Choice.jsonata(this.states, 'What is to be done?')
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'none'")), skipped)
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'wait'")), later)
      .when(sfn.Condition.jsonata(jsonata("$plan.action = 'recreate'")), remove)
      .otherwise(model);
    return sfn.Pass.jsonata(this.states, 'Approved', {
      assign: { modelPackageArn: jsonata('$states.input.modelPackageArn'), plan: null, failure: null, polls: 0 },
    })
      .next(plan)
      .next(action);
  }

  /** Goes on after a call that makes something under a fixed name; that it is there already is success. */
  private makeOnce(task: tasks.CallAwsService, next: sfn.IChainable, failed: sfn.IChainable): void {
    task.next(next);
    task.addCatch(
      sfn.Choice.jsonata(this.states, `${task.id}: there already?`)
        .when(sfn.Condition.jsonata(jsonata("$contains($failure.cause, 'already existing')")), next)
        .otherwise(failed),
      { errors: ['States.ALL'], assign: { failure: CAUGHT } },
    );
  }

  /**
   * Looks at the endpoint until it has stopped changing: that it is `InService` says nothing yet, because
   * SageMaker rolls a failed update back without a word. Events about endpoints are best effort, so none is waited for.
   */
  private waitFor(what: string, failed: sfn.IChainable, settle: (settled: sfn.Choice) => sfn.Choice): sfn.IChainable {
    const wait = sfn.Wait.jsonata(this.states, `Wait for ${what}`, {
      time: sfn.WaitTime.duration(Duration.seconds(POLL_SECONDS)),
      assign: { polls: jsonata('$polls + 1') },
    });
    const look = callSageMaker(this.states, `Look at ${what}`, {
      action: 'describeEndpoint',
      resources: [sageMakerArn(Stack.of(this), `endpoint/${this.endpointName}`)],
      parameters: { EndpointName: this.endpointName },
    });
    look.addCatch(failed, { errors: ['States.ALL'], assign: { failure: CAUGHT } });
    const settled = sfn.Choice.jsonata(this.states, `Is ${what} settled?`).when(
      sfn.Condition.jsonata(
        jsonata(
          "($states.input.EndpointStatus in ['Creating', 'Updating', 'SystemUpdating', 'RollingBack'] " +
            `or $exists($states.input.PendingDeploymentSummary)) and $polls < ${MAX_POLLS}`,
        ),
      ),
      wait,
    );
    return wait.next(look).next(settle(settled));
  }

  /** All at once with one instance, for less of it is none; else a tenth first. Alarms bring the old model back. */
  private traffic(bakeTime: Duration): object {
    const bake = bakeTime.toSeconds();
    return {
      DeploymentConfig: {
        BlueGreenUpdatePolicy: {
          TrafficRoutingConfiguration:
            this.serving.instanceCount === 1
              ? { Type: 'ALL_AT_ONCE', WaitIntervalInSeconds: bake }
              : {
                  Type: 'CANARY',
                  CanarySize: {
                    Type: 'INSTANCE_COUNT',
                    Value: Math.max(1, Math.floor(this.serving.instanceCount / 10)),
                  },
                  WaitIntervalInSeconds: bake,
                },
          TerminationWaitInSeconds: 0,
          MaximumExecutionTimeoutInSeconds: 3600 + 2 * bake,
        },
        AutoRollbackConfiguration: {
          Alarms: [{ AlarmName: this.errorAlarm.alarmName }, { AlarmName: this.latencyAlarm.alarmName }],
        },
      },
    };
  }

  private emptyOnDelete(): CustomResource {
    const stack = Stack.of(this);
    const { groupName } = this.props.registry;
    const handler = new Handler(this, 'CleanUp', {
      bundle: 'clean-up',
      description: 'Removes endpoint, configurations and models when the stack is deleted (lambdas/clean-up.ts)',
      timeout: Duration.minutes(15),
      memorySize: 256,
      environment: {},
    });
    grantSageMaker(
      handler.role,
      stack,
      ['sagemaker:DescribeEndpoint', 'sagemaker:DeleteEndpoint'],
      [`endpoint/${this.endpointName}`],
    );
    handler.role.addToPolicy(listOf('sagemaker:ListEndpointConfigs', 'sagemaker:ListModels'));
    grantSageMaker(
      handler.role,
      stack,
      ['sagemaker:DeleteEndpointConfig'],
      [`endpoint-config/${this.endpointName}-v*`],
    );
    grantSageMaker(handler.role, stack, ['sagemaker:DeleteModel'], [`model/${this.endpointName}-v*`]);
    const resource = new CustomResource(this, 'Emptied', {
      resourceType: 'Custom::PerennialEmptied',
      serviceToken: handler.function.functionArn,
      properties: {
        EndpointName: this.endpointName,
        ModelPackageGroupName: groupName,
        DeleteModelPackages: 'false', // versions are the record of what served; the group is retained with them
      },
    });
    // SageMaker deletes an endpoint with the endpoint's own role: the role must go after it.
    resource.node.addDependency(this.servingRole, handler);
    return resource;
  }
}

/** Allows what lists; the API knows no resource for it. */
function listOf(...actions: string[]): iam.PolicyStatement {
  return new iam.PolicyStatement({ actions, resources: ['*'] });
}
